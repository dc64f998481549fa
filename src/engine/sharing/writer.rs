//! Sharing's part of the writer claim: whether this node could give it or use it, and how a way is cut off
//! whose claim was lost.
//!
//! The kernel writes back what tasks left behind whenever it can. So the way of a lost claim stays in the
//! tunnel's table, at its port, until the kernel has nothing more that would go there: until then the volume
//! cannot be reached from this node again. What goes there is answered with errors meanwhile: open files
//! could not even be closed otherwise.

use std::{path::Path, sync::Arc};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    NotReached, Sharing, Table,
    reach::{PAUSE, WRITE_BACK},
    table::Whose,
};
use crate::{
    engine::{Shared, error::Cause, host::data_dir},
    share::{
        self,
        mount::Leaving,
        tunnel::{Access, Way},
    },
    sys::nfs::{self, Client, Unmounted},
    volume::{Record, VolumeId, effect::Outcome},
};

/// A task whose calls have just failed takes a moment to end.
const LOOKS: u32 = 20;

/// Whom the tunnel is to let to a volume that this node serves: nobody, where it is not shared and no node
/// has the writer claim.
pub(super) fn access_of(record: &Record) -> Option<Access> {
    if !record.has_one_writer() {
        return Some(Access::Any);
    }
    record.writer().map(|writer| Access::Only(writer.clone()))
}

impl Sharing {
    /// Takes a mount away whose owner takes nothing from this node any more: calls under way fail.
    pub(super) async fn cut_off(&self, volume: VolumeId, target: &Path) -> Result<Outcome, Cause> {
        self.lose_way(volume).await?;
        let (lost, as_it_is) = (nfs::Server::Lost, Leaving::AsItIs);
        let left = share::mount::leave(target, lost, as_it_is, WRITE_BACK, &self.helper);
        match left.await? {
            Unmounted::Clean => {}
            how @ (Unmounted::Forced | Unmounted::Lazy) => tracing::warn!(
                %volume, ?how,
                "another node writes to it now: what tasks here had not yet synced to it is lost"
            ),
        }
        self.refuse_leftovers(volume).await?;
        self.forget_way(volume).await
    }

    /// What goes there fails from now on.
    async fn lose_way(&self, volume: VolumeId) -> Result<(), Cause> {
        let lost = move |table: &mut Table| {
            let ways = table.remotes.iter_mut().filter(|remote| remote.volume == volume);
            ways.for_each(|remote| remote.way = Way::Lost);
            Ok(())
        };
        self.in_force.change(Whose::Volume(volume), lost).await
    }

    /// Nothing that was written here may go the way of a later claim.
    pub(super) async fn refuse_leftovers(&self, volume: VolumeId) -> Result<(), Cause> {
        let Some(remote) = self.in_force.remote(volume) else { return Ok(()) };
        for _ in 0..LOOKS {
            let netns = Arc::clone(&self.netns);
            let look = move || netns.run(|| nfs::is_left(remote.port));
            if !spawn_blocking(look).await??? {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        Err(NotReached::Left.into())
    }
}

impl Shared {
    /// Whether this node could reach what another one has: it can mount NFS, in its own network.
    pub(in crate::engine) async fn can_reach(&self) -> bool {
        self.sharing.is_ok() && nfs::look().await != Client::Absent
    }

    /// Whether other nodes could reach that volume through this one.
    pub(in crate::engine) fn can_serve(&self, record: &Record) -> bool {
        let room = data_dir(record).file_name().is_some();
        self.sharing.is_ok() && share::is_installed() && room && self.closed().is_none()
    }

    /// It is not shared, and this node's tasks may not write to it by way of its owner.
    pub(in crate::engine) fn is_no_writer(&self, record: &Record) -> bool {
        let user = self.store.me().is_some_and(|me| record.users.contains(&me.node));
        record.has_one_writer() && !user
    }
}
