//! `hawser volume import`.

use crate::{
    backend::{Candidate, Maker},
    cli::{
        Client, Exit,
        output::{self, Consent},
    },
    http::admin::wire::{ImportRequest, VolumeInfo},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What the backend calls the volume, such as vol-0abc
    #[arg(required_unless_present = "list")]
    handle: Option<String>,
    /// Show what could be imported, and change nothing
    #[arg(long, conflicts_with_all = ["handle", "name", "data_dir"])]
    list: bool,
    /// The volume's name here; else the one that it has
    #[arg(long)]
    name: Option<String>,
    /// The directory of its file system that tasks see (`/` is all of it); else where its maker put
    /// the data
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    #[command(flatten)]
    consent: Consent,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> anyhow::Result<Exit> {
    let candidates: Vec<Candidate> = client.get("/imports").await?;
    let Some(handle) = args.handle else {
        if args.json {
            output::json(&candidates)?;
        } else {
            let header = ["STORAGE", "NAME", "MADE BY", "SIZE", "IN USE BY"];
            output::table(&header, candidates.iter().map(row));
        }
        return Ok(Exit::Success);
    };
    let plan = match candidates.iter().find(|candidate| candidate.handle.as_str() == handle) {
        Some(found) => format!(
            "{handle} ({}, {}, {}) is marked as this cluster's, and becomes the volume {}. Its data stays as it is; whatever used it must not use it any more.",
            found.name,
            maker(found.made_by),
            found.size,
            args.name.as_deref().unwrap_or(&found.name),
        ),
        // The daemon says why not.
        None => format!("{handle} is imported."),
    };
    args.consent.to(&plan)?;
    let data_dir = args.data_dir.map(|dir| dir.trim_matches('/').to_owned());
    let request = ImportRequest { handle, name: args.name, data_dir };
    let volume: VolumeInfo = client.post("/imports", &request).await?;
    if args.json {
        output::json(&volume)?;
    } else {
        println!("{}", volume.name);
    }
    Ok(Exit::Success)
}

fn row(candidate: &Candidate) -> Vec<String> {
    vec![
        candidate.handle.to_string(),
        candidate.name.clone(),
        maker(candidate.made_by).to_owned(),
        candidate.size.to_string(),
        candidate.in_use_by.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

const fn maker(maker: Maker) -> &'static str {
    match maker {
        Maker::Hawser => "hawser",
        Maker::RexRay => "REX-Ray",
        Maker::Cloudstor => "Cloudstor",
        Maker::Convoy => "Convoy",
        Maker::Unknown => "unknown",
    }
}
