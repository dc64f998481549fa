//! `hawser volume grow|rename|set|fsck|trim`.

use crate::{
    cli::{
        Client, Exit,
        output::{self, Consent},
        spec::key_value,
    },
    engine::{Checked, Grown, State},
    http::admin::wire::{
        CheckRequest, GrowRequest, GrowResponse, NameRequest, SetRequest, TrimResponse, VolumeInfo,
    },
    spec::Bytes,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct GrowArgs {
    /// The volume
    name: String,
    /// Its new size, such as 20GiB (a bare number is GiB)
    size: String,
    /// A setting of its storage to change with it, such as iops=6000 (EBS)
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, String)>,
}

pub(super) async fn grow(client: &Client, args: GrowArgs) -> anyhow::Result<Exit> {
    let size: Bytes = args.size.parse()?;
    let request = GrowRequest { size: args.size, options: args.options };
    let GrowResponse { grown } = client.post(&super::path(&args.name, "/grow")?, &request).await?;
    match grown {
        Grown::Now => println!("{} has {size} now.", args.name),
        Grown::AtNextMount => println!(
            "The storage of {} has {size} now; its file system takes it up when it is next mounted (a mounted ext4 grows only with CAP_SYS_RESOURCE: stop its containers and start them again).",
            args.name
        ),
    }
    Ok(Exit::Success)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RenameArgs {
    /// The volume
    name: String,
    /// Its new name
    new_name: String,
}

pub(super) async fn rename(client: &Client, args: RenameArgs) -> anyhow::Result<Exit> {
    let request = NameRequest { name: Some(args.new_name) };
    client.post::<()>(&super::path(&args.name, "/rename")?, &request).await?;
    Ok(Exit::Success)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SetArgs {
    /// The volume
    name: String,
    /// What to change, such as sticky=true
    #[arg(short = 'o', long = "opt", value_name = "KEY=VALUE", value_parser = key_value, required = true)]
    options: Vec<(String, String)>,
}

pub(super) async fn set(client: &Client, args: SetArgs) -> anyhow::Result<Exit> {
    let request = SetRequest { options: args.options };
    client.post::<()>(&super::path(&args.name, "/set")?, &request).await?;
    // An inspection, since the answer has no room for what is to be done.
    let volume: VolumeInfo = client.get(&super::path(&args.name, "")?).await?;
    let remounts = request.options.iter().any(|(key, _)| key.to_lowercase().starts_with("mount"));
    if remounts && volume.state == State::Mounted {
        println!(
            "{} is mounted: its mount options are used when it is next mounted, after its last container has ended.",
            args.name
        );
    }
    Ok(Exit::Success)
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FsckArgs {
    /// The volume
    name: String,
    /// Also mend what is wrong
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    consent: Consent,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn fsck(client: &Client, args: FsckArgs) -> anyhow::Result<Exit> {
    if args.repair {
        args.consent.to(&format!(
            "The file system of {} is repaired: damaged files may be cut short, moved to lost+found, or deleted, for good.",
            args.name
        ))?;
    }
    let request = CheckRequest { repair: args.repair };
    let checked: Checked = client.post(&super::path(&args.name, "/fsck")?, &request).await?;
    if args.json {
        output::json(&checked)?;
    } else {
        println!("{}", checked.output.trim_end());
        let verdict = if checked.clean { "is well" } else { "needs repair (--repair)" };
        println!("The file system of {} {verdict}.", args.name);
    }
    Ok(if checked.clean { Exit::Success } else { Exit::Failure })
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TrimArgs {
    /// The volume
    name: String,
}

pub(super) async fn trim(client: &Client, args: TrimArgs) -> anyhow::Result<Exit> {
    let TrimResponse { trimmed_bytes } =
        client.post(&super::path(&args.name, "/trim")?, &()).await?;
    println!("{} gave {} back.", args.name, Bytes::new(trimmed_bytes));
    Ok(Exit::Success)
}
