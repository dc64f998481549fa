//! `hawser volume`: commands about volumes.

mod change;
mod create;
mod import;
mod list;
mod place;
mod publish;
mod remove;
mod ways;

use clap::Subcommand;

use super::{Client, Exit};
use crate::{engine::Engine, spec::VolumeName};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a volume
    Create(create::Args),
    /// List volumes
    Ls(list::ListArgs),
    /// Show everything about a volume
    Inspect(list::InspectArgs),
    /// Grow a volume, also while it is in use
    Grow(change::GrowArgs),
    /// Rename a volume that is not in use
    Rename(change::RenameArgs),
    /// Change sticky, on_remove, preempt, mount_options, labels and settings of the storage
    Set(change::SetArgs),
    /// Check the file system of a volume that is not in use
    Fsck(change::FsckArgs),
    /// Give unused blocks of a thin volume back to the disk
    Trim(change::TrimArgs),
    /// Take over a volume that another plugin made, or whose record was lost
    Import(import::Args),
    /// Show which node has a volume, and who uses it on each
    Where(place::WhereArgs),
    /// Move a volume to another node
    Move(place::MoveArgs),
    /// Keep a volume mounted on this node, for tasks that take a path of the host, and print the path
    Publish(publish::PublishArgs),
    /// Let go of a published volume
    Unpublish(publish::UnpublishArgs),
    /// List the volumes that are published on this node
    Published(publish::ListArgs),
    /// Remove volumes
    Rm(remove::RmArgs),
    /// Bring a removed volume back
    Undelete(remove::UndeleteArgs),
    /// Delete a removed volume's data now
    Purge(remove::PurgeArgs),
}

pub(super) async fn run(client: &Client, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => create::run(client, args).await,
        Command::Ls(args) => list::run(client, args).await,
        Command::Inspect(args) => list::inspect(client, args).await,
        Command::Grow(args) => change::grow(client, args).await,
        Command::Rename(args) => change::rename(client, args).await,
        Command::Set(args) => change::set(client, args).await,
        Command::Fsck(args) => change::fsck(client, args).await,
        Command::Trim(args) => change::trim(client, args).await,
        Command::Import(args) => import::run(client, args).await,
        Command::Where(args) => place::find(client, args).await,
        Command::Move(args) => place::move_to(client, args).await,
        Command::Publish(args) => publish::publish(client, args).await,
        Command::Unpublish(args) => publish::unpublish(client, args).await,
        Command::Published(args) => publish::list(client, args).await,
        Command::Rm(args) => remove::rm(client, args).await,
        Command::Undelete(args) => remove::undelete(client, args).await,
        Command::Purge(args) => remove::purge(client, args).await,
    }
}

/// The call for a volume. What is not a name never reaches a URL; an inline spec stands for the
/// volume that it names, as it does for Docker.
fn path(name: &str, rest: &str) -> anyhow::Result<String> {
    let request = Engine::parse(name)?;
    Ok(format!("/volumes/{}{rest}", request.name))
}

/// The call for a removed volume, by name or id: an id has the characters of a name.
fn removed_path(which: &str, rest: &str) -> anyhow::Result<String> {
    let which: VolumeName = which.parse()?;
    Ok(format!("/removed/{which}{rest}"))
}
