//! `hawser volume ls` and `hawser volume inspect`.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cli::{Client, Exit, output},
    engine::State,
    http::admin::wire::VolumeInfo,
    spec::{BackendSpec, Bytes, Preempt, Sticky},
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListArgs {
    /// Removed volumes, whose data is still there
    #[arg(long)]
    removed: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: ListArgs) -> anyhow::Result<Exit> {
    let mut volumes: Vec<VolumeInfo> = client.get("/volumes").await?;
    volumes.retain(|volume| (volume.state == State::Removed) == args.removed);
    if args.json {
        output::json(&volumes)?;
    } else if args.removed {
        output::table(&["NAME", "ID", "SIZE", "REMOVED", "DELETED"], volumes.iter().map(removed));
    } else {
        let mut header = vec!["NAME", "STATE", "SIZE", "USED", "FS", "BACKEND", "HOLDERS"];
        // Of a cluster alone: who is alone has no use for it.
        let owned = volumes.iter().any(|volume| volume.owner.is_some());
        if owned {
            header.push("NODE");
        }
        let row = |volume: &VolumeInfo| {
            let mut row = present(volume);
            row.extend(owned.then(|| volume.owner.clone().unwrap_or_else(|| "-".to_owned())));
            row
        };
        output::table(&header, volumes.iter().map(row));
        for volume in &volumes {
            if let Some(failure) = &volume.failure {
                println!("{}: {failure}", volume.name);
            }
        }
    }
    Ok(Exit::Success)
}

fn present(volume: &VolumeInfo) -> Vec<String> {
    vec![
        volume.name.clone(),
        volume.state.as_str().to_owned(),
        volume.spec.size.to_string(),
        volume.used_bytes.map_or_else(|| "-".into(), |used| Bytes::new(used).rounded().to_string()),
        volume.spec.file_system().to_owned(),
        volume.spec.backend.kind().to_string(),
        volume.holders.len().to_string(),
    ]
}

fn removed(volume: &VolumeInfo) -> Vec<String> {
    let now = Timestamp::now();
    vec![
        volume.name.clone(),
        volume.id.to_string(),
        volume.spec.size.to_string(),
        volume
            .removed_at
            .map_or_else(|| "-".into(), |at| format!("{} ago", brief(now.duration_since(at)))),
        match volume.deleted_at {
            None => "never (retained)".into(),
            Some(at) if at <= now => "now".into(),
            Some(at) => format!("in {}", brief(at.duration_since(now))),
        },
    ]
}

/// A time in its largest unit: `23h`.
fn brief(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

/// What only its backend knows.
fn storage(volume: &VolumeInfo) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    rows.extend(volume.storage.clone().map(|storage| ("storage", storage)));
    match &volume.spec.backend {
        BackendSpec::Local(local) => rows.push(("provision", local.provision.to_string())),
        BackendSpec::Ebs(ebs) => {
            rows.push(("type", ebs.volume_type.to_string()));
            rows.extend(ebs.iops.map(|iops| ("iops", iops.to_string())));
            rows.extend(ebs.throughput.map(|mib| ("throughput", format!("{mib} MiB/s"))));
            rows.extend(ebs.encrypted.map(|yes| ("encrypted", yes.to_string())));
            rows.extend(ebs.kms_key.clone().map(|key| ("kms key", key)));
            rows.extend(ebs.zone.clone().map(|zone| ("zone", zone)));
            rows.extend(ebs.snapshot.clone().map(|id| ("made from", id)));
            rows.push(("attach", ebs.attach.to_string()));
        }
        BackendSpec::Nfs(nfs) => {
            rows.push(("export", nfs.export.clone()));
            rows.push(("path", nfs.path.clone()));
            rows.push(("layout", nfs.layout.to_string()));
        }
    }
    rows
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct InspectArgs {
    /// The volume
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn inspect(client: &Client, args: InspectArgs) -> anyhow::Result<Exit> {
    let volume: VolumeInfo = client.get(&super::path(&args.name, "")?).await?;
    if args.json {
        output::json(&volume)?;
        return Ok(Exit::Success);
    }
    let mut rows = vec![
        ("name", volume.name.clone()),
        ("id", volume.id.to_string()),
        ("state", volume.state.as_str().to_owned()),
        ("size", volume.spec.size.to_string()),
        ("file system", volume.spec.file_system().to_owned()),
        ("backend", volume.spec.backend.kind().to_string()),
        ("created", volume.created_at.to_string()),
    ];
    rows.extend(storage(&volume));
    let mut optional = |key, value: Option<String>| rows.extend(value.map(|value| (key, value)));
    optional("used", volume.used_bytes.map(|used| Bytes::new(used).rounded().to_string()));
    let preempt = volume.spec.preempt;
    optional("preempt", (preempt != Preempt::default()).then(|| preempt.to_string()));
    optional("sticky", (volume.spec.sticky == Sticky::Yes).then(|| "cannot be removed".to_owned()));
    optional("on removal", volume.spec.on_remove.map(|what| what.to_string()));
    let options = volume.spec.mount_options.join(",");
    optional("mount options", Some(options).filter(|options| !options.is_empty()));
    for (key, value) in &volume.spec.labels {
        optional("label", Some(format!("{key}={value}")));
    }
    optional("path", volume.path.map(|path| path.display().to_string()));
    optional("device", volume.device.map(|device| device.display().to_string()));
    optional("growing to", volume.growing_to_bytes.map(|to| Bytes::new(to).to_string()));
    optional(
        "file system grows",
        volume.grows_at_next_mount.then(|| "at the next mount".to_owned()),
    );
    optional("doing", volume.doing);
    optional("failure", volume.failure);
    for holder in &volume.holders {
        let since = holder.since;
        rows.push(("holder", format!("{holder}, {} times, since {since}", holder.count)));
    }
    let rows = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]);
    output::table(&["", ""], rows);
    Ok(Exit::Success)
}
