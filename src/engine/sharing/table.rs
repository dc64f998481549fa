//! The tunnel's table, as this daemon puts it in force: nobody else changes it.

use std::{io, path::Path, sync::Arc};

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::NotReached;
use crate::{
    engine::error::Cause,
    share::tunnel::{
        Remote, Table,
        process::{Tunnel, TunnelError},
        table::TableError,
    },
    volume::VolumeId,
};

/// The tunnel and its table.
#[derive(Debug, Clone)]
pub(super) struct InForce {
    pub(super) tunnel: Tunnel,
    /// What is in force.
    table: watch::Sender<Table>,
    /// Held while the tunnel is told, which takes time: one change after the other.
    telling: Arc<Mutex<Told>>,
}

/// Whether the tunnel has the table that is known here.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Yes,
    /// It was told another one, and did not say that it has it.
    Perhaps,
}

impl InForce {
    /// As it was left, with who this node is now. Blocking.
    pub(super) fn open(tunnel: Tunnel, me: Table, namespace: &Path) -> io::Result<Self> {
        let left = match Table::read(&tunnel.table) {
            Ok(left) => left,
            Err(TableError::File { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => {
                me.clone()
            }
            Err(error) => return Err(io::Error::other(error)),
        };
        let table = Table {
            namespace: Some(namespace.to_owned()),
            exports: left.exports,
            remotes: left.remotes,
            ..me
        };
        let (table, telling) = (watch::Sender::new(table), Arc::new(Mutex::new(Told::Perhaps)));
        Ok(Self { tunnel, table, telling })
    }

    pub(super) fn now(&self) -> watch::Ref<'_, Table> {
        self.table.borrow()
    }

    /// The way to a volume's owner.
    pub(super) fn remote(&self, volume: VolumeId) -> Option<Remote> {
        self.now().remotes.iter().find(|remote| remote.volume == volume).cloned()
    }

    /// Before any volume is looked at: listeners that mounts depend on are bound, if there are any. And the
    /// daemon before this one may have been killed between the table and the tunnel.
    pub(super) async fn resume(&self) {
        let mut told = self.telling.lock().await;
        let table = self.now().clone();
        let resumed = if table.is_idle() {
            self.tunnel.withdraw(&table).await
        } else {
            self.tunnel.apply(&table).await.map(drop)
        };
        match resumed {
            Ok(()) => *told = Told::Yes,
            Err(error) => {
                tracing::error!(%error, "volumes of other nodes wait until the tunnel runs");
            }
        }
    }

    /// Keeps the tunnel running once there is anything to carry.
    pub(super) async fn keep(&self, stop: CancellationToken) {
        let mut table = self.table.subscribe();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = table.wait_for(|table| !table.is_idle()) => {}
        }
        self.tunnel.keep(stop).await;
    }

    /// Puts a change in force: to its end, also where it is not waited for any more. Taken back halfway, it
    /// would let somebody in again with the next change.
    pub(super) async fn change(
        &self,
        change: impl FnOnce(&mut Table) -> Result<(), NotReached> + Send + 'static,
    ) -> Result<(), Cause> {
        let this = self.clone();
        tokio::spawn(async move { this.change_now(change).await }).await?
    }

    async fn change_now(
        &self,
        change: impl FnOnce(&mut Table) -> Result<(), NotReached>,
    ) -> Result<(), Cause> {
        let mut told = self.telling.lock().await;
        let before = self.now().clone();
        let mut next = before.clone();
        change(&mut next)?;
        if next == before && *told == Told::Yes {
            return Ok(());
        }
        *told = Told::Perhaps;
        self.tell(&before, &next).await?;
        self.table.send_replace(next);
        *told = Told::Yes;
        Ok(())
    }

    async fn tell(&self, before: &Table, next: &Table) -> Result<(), TunnelError> {
        let less = next.exports.iter().all(|export| before.exports.contains(export))
            && next.remotes.iter().all(|remote| before.remotes.contains(remote));
        let told = if less {
            self.tunnel.withdraw(next).await
        } else {
            self.tunnel.apply(next).await.map(drop)
        };
        match told {
            // What is not allowed any more has ended. The tunnel goes on trying to get the rest, which may
            // be another volume's; who needs it finds out when it asks through it.
            Err(TunnelError::Incomplete(why)) => {
                tracing::warn!(why, "the tunnel");
                Ok(())
            }
            told => told,
        }
    }
}
