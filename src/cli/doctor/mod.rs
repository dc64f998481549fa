//! `hawser doctor`: what is wrong on this host, and what to do about it. It looks, and mends nothing.

mod ebs;
mod host;
#[allow(dead_code, reason = "until the configuration has exports")]
mod nfs;
mod sharing;
mod volumes;

use std::{path::Path, time::Duration};

pub(super) use ebs::Reach;

use super::{Client, Exit, config::Source, images::images_in, output};
use crate::{config::Config, http::admin::wire::VolumeInfo};

/// How long Docker's socket may take to answer.
const SOON: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one look found.
#[derive(Debug, serde::Serialize)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    verdict: Verdict,
    /// What was found, and what to do.
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Note,
    Problem,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Problem => "PROBLEM",
        }
    }
}

pub(super) async fn run(args: &Args, admin_socket: &Path) -> anyhow::Result<Exit> {
    let mut findings = host::findings();
    let mut reach = Reach::Whole;
    let config = match args.source.read() {
        Ok(config) => {
            findings.extend(host::configured(&config));
            let (of_ebs, answers) = ebs::findings(&config).await;
            findings.extend(of_ebs);
            findings.extend(nfs::findings(&config).await);
            findings.extend(sharing::findings(&config, admin_socket).await);
            reach = answers;
            findings.push(docker_socket(&config).await);
            Some(config)
        }
        Err(mistakes) => {
            findings.push(problem("configuration", mistakes.to_string()));
            None
        }
    };
    findings.extend(of_volumes(config.as_ref(), reach, admin_socket).await);
    if args.json {
        output::json(&findings)?;
    } else {
        let row = |f: &Finding| vec![f.verdict.as_str().into(), f.subject.into(), f.detail.clone()];
        output::table(&[], findings.iter().map(row));
    }
    let problems = findings.iter().filter(|f| f.verdict == Verdict::Problem).count();
    Ok(if problems == 0 { Exit::Success } else { Exit::Failure })
}

/// From the daemon; from the records where it does not answer.
async fn of_volumes(config: Option<&Config>, reach: Reach, admin_socket: &Path) -> Vec<Finding> {
    let images = config.map(|config| (config, images_in(&config.local.dir)));
    let mut findings = Vec::new();
    match Client::new(admin_socket.into()).get::<Vec<VolumeInfo>>("/volumes").await {
        Ok(volumes) => {
            if let Some((config, images)) = &images {
                let known = volumes.iter().map(|volume| volume.id).collect();
                findings.extend(volumes::unrecorded(config, images, &known));
            }
            findings.extend(volumes::of_daemon(volumes));
        }
        Err(error) => {
            findings.push(problem("daemon", format!("{error:#}")));
            if let Some((config, images)) = &images {
                findings.extend(volumes::of_records(config, images, reach).await);
            }
        }
    }
    findings
}

/// What Docker gets when it looks for the driver.
async fn docker_socket(config: &Config) -> Finding {
    let socket = &config.docker_socket;
    let client = Client::new(socket.clone());
    let call = client.post::<serde_json::Value>("/Plugin.Activate", &());
    match tokio::time::timeout(SOON, call).await {
        Ok(Ok(_)) => good("docker socket", format!("{} answers", socket.display())),
        Ok(Err(error)) => problem("docker socket", format!("{error:#}")),
        Err(_) => problem(
            "docker socket",
            format!("{} does not answer within {} s", socket.display(), SOON.as_secs()),
        ),
    }
}

fn good(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Good, detail: detail.into() }
}

fn note(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Note, detail: detail.into() }
}

fn problem(subject: &'static str, detail: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Problem, detail: detail.into() }
}
