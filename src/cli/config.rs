//! `hawser config`: checks what was written, and prints what could be.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Subcommand;

use super::Exit;
use crate::{
    agent::{Place, installed},
    config::{
        Config, DEFAULT_FILE, Values, reference,
        rexray::{self, Secrets},
        sample_file, universe,
    },
};

/// Where a command's configuration comes from.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Source {
    /// The configuration file [default: /etc/hawser/hawser.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "HAWSER_CONFIG")]
    config: Option<PathBuf>,
    /// Sets any setting of the file; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::spec::key_value)]
    set: Vec<(String, String)>,
}

impl Source {
    /// Everything that was written: the service's own settings, too, so that a command by hand means the
    /// same as the daemon. With another file, another daemon is meant.
    pub(super) fn values(&self) -> anyhow::Result<Values> {
        let mut values = self.file()?;
        if self.config.is_none() {
            add_service(&mut values, &Place::here().environment())?;
        }
        self.add_own(&mut values);
        Ok(values)
    }

    /// The configuration.
    pub(super) fn read(&self) -> anyhow::Result<Config> {
        Ok(Config::read(self.values()?)?)
    }

    /// The configuration of a service that is installed anew: what the one before was told does not count.
    pub(super) fn read_anew(&self) -> anyhow::Result<Config> {
        let mut values = self.file()?;
        self.add_own(&mut values);
        Ok(Config::read(values)?)
    }

    fn file(&self) -> anyhow::Result<Values> {
        let mut values = Values::default();
        let path = self.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match fs::read_to_string(&path) {
            Ok(text) => values.add_file(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.config.is_none() => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read the configuration {}", path.display()));
            }
        }
        Ok(values)
    }

    /// What this command itself was told.
    fn add_own(&self, values: &mut Values) {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        values.add_environment(environment);
        for (key, value) in &self.set {
            values.add_option(key, value);
        }
    }
}

/// Adds what `hawser agent install` told the service.
fn add_service(values: &mut Values, path: &Path) -> anyhow::Result<()> {
    match installed(path) {
        Ok(variables) => values.add_variables(&path.display().to_string(), variables),
        // `hawser spec`, say, is for everybody.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("hawser: {} is root's alone: its settings do not count here", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether the configuration is right, and everything that is wrong with it
    Check {
        #[command(flatten)]
        source: Source,
    },
    /// Print a sample file with every setting and its default
    Sample,
    /// Print the reference of all settings (Markdown)
    Reference,
    /// Print a file of the DC/OS Universe package
    #[command(hide = true)]
    Universe {
        /// Which: config.json or marathon.json.mustache
        file: UniverseFile,
    },
    /// Print the IAM policy that the nodes' role needs for volumes on EBS
    #[cfg(feature = "ebs")]
    IamPolicy {
        /// The cluster's name [default: daemon.cluster of the configuration]
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Print the configuration that means the same as REX-Ray's, and on stderr what became of each key
    ImportRexray {
        /// REX-Ray's file [default: /etc/rexray/config.yml or /etc/rexray/rexray.yml]
        file: Option<PathBuf>,
        /// The cluster's name, the same on every node [default: REX-Ray's tag, or `rexray`]
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Write credentials too; otherwise a comment says where they go
        #[arg(long)]
        with_secrets: bool,
    },
}

/// What the package is made of, besides what is written by hand.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum UniverseFile {
    #[value(name = "config.json")]
    Options,
    #[value(name = "marathon.json.mustache")]
    App,
}

/// Where REX-Ray's configuration is looked for: on a host, and in its managed plugin.
const REXRAY_FILES: [&str; 2] = ["/etc/rexray/config.yml", "/etc/rexray/rexray.yml"];

pub(super) fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Check { source } => match Config::read(source.values()?) {
            Ok(_) => println!("The configuration is right."),
            Err(mistakes) => {
                eprintln!("{mistakes}");
                return Ok(Exit::Usage);
            }
        },
        Command::Sample => print!("{}", sample_file()),
        Command::Reference => print!("{}", reference()),
        Command::Universe { file: UniverseFile::Options } => print!("{}", universe::options()),
        Command::Universe { file: UniverseFile::App } => print!("{}", universe::app()),
        #[cfg(feature = "ebs")]
        Command::IamPolicy { cluster, source } => iam_policy(cluster, &source)?,
        Command::ImportRexray { file, cluster, with_secrets } => {
            let secrets = if with_secrets { Secrets::Write } else { Secrets::LeaveOut };
            return import_rexray(file, cluster.as_deref(), secrets);
        }
    }
    Ok(Exit::Success)
}

#[cfg(feature = "ebs")]
fn iam_policy(cluster: Option<String>, source: &Source) -> anyhow::Result<()> {
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => source.read()?.ebs.map(|ebs| ebs.cluster).context(
            "the policy is for one cluster's volumes: add --cluster NAME, or set daemon.cluster and backends.ebs.enabled",
        )?,
    };
    super::output::json(&crate::backend::ebs::policy(&cluster))
}

fn import_rexray(
    file: Option<PathBuf>,
    cluster: Option<&str>,
    secrets: Secrets,
) -> anyhow::Result<Exit> {
    let default = || REXRAY_FILES.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(file) = file.or_else(default) else {
        anyhow::bail!("there is neither {}: name REX-Ray's file", REXRAY_FILES.join(" nor "));
    };
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    match rexray::import(&text, cluster, secrets) {
        Ok(imported) => {
            print!("{}", imported.toml);
            for told in imported.told {
                eprintln!("{told}");
            }
            Ok(Exit::Success)
        }
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("hawser: {}: {line}", file.display());
            }
            Ok(Exit::Failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::durable;

    /// `agent uninstall` would look for mounted volumes in the wrong place, and `release` find no records.
    #[test]
    fn a_command_by_hand_has_the_services_settings_and_its_own_win() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.env");
        let text = b"# made\nHAWSER_STATE_DIR=\"/data/hawser\"\nHAWSER_LOG=\"debug\"\n";
        durable::create(&path, text, 0o600).unwrap();
        let mut values = Values::default();

        add_service(&mut values, &path).unwrap();
        values.add_environment([("HAWSER_LOG".to_owned(), "warn".to_owned())].into_iter());

        let config = Config::read(values).unwrap();
        assert_eq!(config.state_dir, Path::new("/data/hawser"));
        assert_eq!(config.log, "warn");
    }
}
