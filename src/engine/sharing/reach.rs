//! The other side of sharing: the way to a volume's owner, and what is mounted by it.

use std::{collections::HashSet, path::Path, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{LISTENERS, NotReached, Sharing, table::Whose};
use crate::{
    cluster::NodeInfo,
    engine::error::Cause,
    share::{
        self,
        mount::{Leaving, RemoteMount},
        tunnel::{self, Status, Table, Way},
    },
    sys::{
        mountinfo::{Mount, MountTable},
        namespaces,
        nfs::{self, Unmounted},
    },
    volume::{NodeName, Record, Remote, VolumeId, effect::Outcome},
};

/// How long an owner may take to serve a volume, which it may have to attach first.
const SERVED: Duration = Duration::from_secs(90);
/// The same of one that is not shared: it has it attached, and afterwards there must be time to move it.
const LENT: Duration = Duration::from_secs(40);
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// How long mount(2) may take once the owner's server answers.
const MOUNT: Duration = Duration::from_secs(20);
/// How long one attempt to write back what is dirty may take, before the volume's other work has its turn.
pub(super) const WRITE_BACK: Duration = Duration::from_secs(20);

impl Sharing {
    /// Leads the volume's connections to its owner.
    pub(in crate::engine) async fn connect(
        &self,
        record: &Record,
        owner: Option<&NodeInfo>,
    ) -> Result<Outcome, Cause> {
        let Some(lease) = &record.lease.owner else { return Err(NotReached::NoOwner.into()) };
        let Some(address) = owner.and_then(|owner| owner.tunnel.clone()) else {
            return Err(NotReached::NoTunnel(lease.node.clone()).into());
        };
        let (volume, epoch) = (record.id, record.lease.epoch);
        let owner = lease.node.clone();
        let with = move |table: &mut Table| {
            let present = table.remotes.iter().find(|remote| remote.volume == volume);
            // Where there is one, the kernel's client knows no other.
            let port = present.map(|remote| remote.port);
            let taken: Vec<_> = table.remotes.iter().map(|remote| remote.port).collect();
            let port = port.or_else(|| listener(volume, &taken));
            let port = port.ok_or(NotReached::NoPort(LISTENERS))?;
            table.remotes.retain(|remote| remote.volume != volume);
            let way = Way::Open;
            table.remotes.push(tunnel::Remote { volume, epoch, port, owner, address, way });
            Ok(())
        };
        self.in_force.change(Whose::Volume(volume), with).await?;
        Ok(Outcome::Connected(epoch))
    }

    /// Mounts what the owner serves, once it does.
    pub(in crate::engine) async fn reach(
        &self,
        record: &Record,
        target: &Path,
    ) -> Result<Outcome, Cause> {
        let Some(remote) = self.in_force.remote(record.id) else {
            return Err(NotReached::NoOwner.into());
        };
        let limit = if record.has_one_writer() { LENT } else { SERVED };
        self.until_served(&remote, limit).await?;
        let mount = RemoteMount {
            volume: *record.id.uuid(),
            netns: self.namespace.clone(),
            port: remote.port,
        };
        mount.mount(target, &self.helper, MOUNT).await?;
        Ok(Outcome::Done)
    }

    async fn until_served(&self, remote: &tunnel::Remote, limit: Duration) -> Result<(), Cause> {
        let through = self.server(remote.volume, remote.port);
        let start = Instant::now();
        while !through.answers().await {
            if start.elapsed() > limit {
                let status = self.in_force.tunnel.status().await.ok();
                let why = status.and_then(|status| why_not(&status, remote.volume));
                let (owner, address) = (remote.owner.clone(), remote.address.clone());
                return Err(NotReached::Unserved { owner, address, why, after: limit }.into());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Takes that mount away, and the way.
    pub(in crate::engine) async fn unreach(
        &self,
        record: &Record,
        target: &Path,
        leaving: Leaving,
    ) -> Result<Outcome, Cause> {
        let volume = record.id;
        let mut in_order = false;
        // One upon the other, where this daemon was killed just when it had mounted it.
        while let Some(device) = mounted_at(target).await? {
            // A container has a mount of its own, which would wait for ever once the way is gone.
            let users = spawn_blocking(move || namespaces::outside_holders(device)).await??;
            if let Some(user) = users.first() {
                return Err(NotReached::Used(user.pid, user.command.clone()).into());
            }
            let answers = match self.in_force.remote(volume) {
                Some(remote) => self.server(volume, remote.port).answers().await,
                None => false,
            };
            let owner = if answers { nfs::Server::Answers } else { nfs::Server::Silent };
            let left = share::mount::leave(target, owner, leaving, WRITE_BACK, &self.helper);
            let how = left.await?;
            in_order = how == Unmounted::Clean;
            match how {
                Unmounted::Clean => {}
                how @ (Unmounted::Forced | Unmounted::Lazy) => tracing::warn!(
                    %volume, ?how,
                    "it is not this node's to write to any more: what tasks here had not yet synced may be lost"
                ),
            }
        }
        // What went in order left nothing; of an attempt before this one it is not known.
        if record.has_one_writer() && !in_order {
            self.refuse_leftovers(volume).await?;
        }
        self.forget_way(volume).await
    }

    /// The tunnel leads there no more.
    pub(super) async fn forget_way(&self, volume: VolumeId) -> Result<Outcome, Cause> {
        let without = move |table: &mut Table| {
            table.remotes.retain(|remote| remote.volume != volume);
            Ok(())
        };
        self.in_force.change(Whose::Volume(volume), without).await?;
        Ok(Outcome::Done)
    }

    /// A node's tunnel is somewhere else: the way to these of its volumes.
    pub(in crate::engine) async fn moved(
        &self,
        node: &NodeName,
        address: &str,
        volumes: HashSet<VolumeId>,
    ) {
        let (owner, there) = (node.clone(), address.to_owned());
        let with = move |table: &mut Table| {
            let theirs = |remote: &&mut tunnel::Remote| {
                remote.owner == owner && volumes.contains(&remote.volume)
            };
            let moved = table.remotes.iter_mut().filter(theirs);
            moved.for_each(|remote| remote.address.clone_from(&there));
            Ok(())
        };
        if let Err(error) = self.in_force.change(Whose::Nodes, with).await {
            tracing::warn!(%node, address, %error, "the tunnel does not know that it is there");
        }
    }
}

/// A port for a volume's listener: the same one the next time, where that can be. What was left of a mount
/// that did not end must not find another volume there.
fn listener(volume: VolumeId, taken: &[u16]) -> Option<u16> {
    let count = usize::from(LISTENERS.end - LISTENERS.start);
    let first = volume.uuid().as_u128() % u128::from(LISTENERS.end - LISTENERS.start);
    let first = usize::try_from(first).unwrap_or_default();
    LISTENERS.cycle().skip(first).take(count).find(|port| !taken.contains(port))
}

async fn mounted_at(target: &Path) -> Result<Option<(u32, u32)>, Cause> {
    let mounts = spawn_blocking(MountTable::read).await??;
    Ok(mounts.at(target).map(|mount| mount.device))
}

/// What is mounted of another node's, by the mount table alone.
pub(super) fn reached(reach: &Path, published: &Path, mounts: &MountTable) -> Remote {
    let mounted = mounts.at(reach);
    let same = |mount: &Mount| mounts.at(published).is_some_and(|it| it.device == mount.device);
    Remote { connected: None, mounted: mounted.is_some(), published: mounted.is_some_and(same) }
}

/// What the tunnel last met on the way to a volume's owner.
fn why_not(status: &Status, volume: VolumeId) -> Option<String> {
    let status = status.remotes.iter().find(|status| status.remote.volume == volume)?;
    Some(status.figures.last_error.as_ref()?.text.clone())
}
