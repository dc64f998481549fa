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
    /// Volumes with connections that it does not allow, as the tunnel last said.
    open: watch::Sender<Vec<VolumeId>>,
    /// Held while the tunnel is told, which takes time: one change after the other.
    telling: Arc<Mutex<Told>>,
}

/// Whose a change is. What is wrong with one volume keeps no other one's change from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// This volume's: it is not done before the volume's connections that it ends have ended.
    Volume(VolumeId),
    /// That of the ways to other nodes: it ends none.
    Nodes,
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
        let telling = Arc::new(Mutex::new(Told::Perhaps));
        let (table, open) = (watch::Sender::new(table), watch::Sender::default());
        Ok(Self { tunnel, table, open, telling })
    }

    pub(super) fn now(&self) -> watch::Ref<'_, Table> {
        self.table.borrow()
    }

    /// The way to a volume's owner.
    pub(super) fn remote(&self, volume: VolumeId) -> Option<Remote> {
        self.now().remotes.iter().find(|remote| remote.volume == volume).cloned()
    }

    /// Whether a volume has connections that should have ended, for all that is known.
    pub(super) fn is_open(&self, volume: VolumeId) -> bool {
        self.open.borrow().contains(&volume)
    }

    /// Before any volume is looked at: listeners that mounts depend on are bound, if there are any. And the
    /// daemon before this one may have been killed between the table and the tunnel.
    pub(super) async fn resume(&self) {
        let mut told = self.telling.lock().await;
        let table = self.now().clone();
        let told_all = if table.is_idle() { Amount::Less } else { Amount::More };
        match self.tell(&table, told_all).await {
            Ok(_) => *told = Told::Yes,
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
    ///
    /// # Errors
    /// Where connections of that volume are still open which it ends, it is in force all the same: asked for again,
    /// it is done once they have ended.
    pub(super) async fn change(
        &self,
        whose: Whose,
        change: impl FnOnce(&mut Table) -> Result<(), NotReached> + Send + 'static,
    ) -> Result<(), Cause> {
        let this = self.clone();
        tokio::spawn(async move { this.change_now(whose, change).await }).await?
    }

    async fn change_now(
        &self,
        whose: Whose,
        change: impl FnOnce(&mut Table) -> Result<(), NotReached>,
    ) -> Result<(), Cause> {
        let mut told = self.telling.lock().await;
        let before = self.now().clone();
        let mut next = before.clone();
        change(&mut next)?;
        let is_open = match whose {
            Whose::Volume(volume) => self.is_open(volume),
            Whose::Nodes => false,
        };
        if next == before && *told == Told::Yes && !is_open {
            return Ok(());
        }
        let less = next.exports.iter().all(|export| before.exports.contains(export))
            && next.remotes.iter().all(|remote| before.remotes.contains(remote));
        *told = Told::Perhaps;
        let not_fenced = self.tell(&next, if less { Amount::Less } else { Amount::More }).await?;
        self.table.send_replace(next);
        *told = Told::Yes;
        match (whose, not_fenced) {
            (Whose::Volume(volume), Some(error)) if self.is_open(volume) => Err(error.into()),
            (Whose::Volume(_) | Whose::Nodes, Some(error)) => {
                tracing::warn!(%error, "another volume's");
                Ok(())
            }
            (Whose::Volume(_) | Whose::Nodes, None) => Ok(()),
        }
    }

    /// Puts a table in force; the answer says which connections that it does not allow have not ended.
    async fn tell(&self, next: &Table, amount: Amount) -> Result<Option<TunnelError>, TunnelError> {
        let told = match amount {
            Amount::Less => self.tunnel.withdraw(next).await,
            Amount::More => self.tunnel.apply(next).await.map(drop),
        };
        let (open, not_fenced) = match told {
            Ok(()) => (Vec::new(), None),
            // What is not allowed any more has ended. The tunnel goes on trying to get the rest, which may
            // be another volume's; who needs it finds out when it asks through it.
            Err(TunnelError::Incomplete(why)) => {
                tracing::warn!(why, "the tunnel");
                (Vec::new(), None)
            }
            Err(TunnelError::NotFenced { open, why }) => {
                (open.clone(), Some(TunnelError::NotFenced { open, why }))
            }
            Err(error) => return Err(error),
        };
        self.open.send_replace(open);
        Ok(not_fenced)
    }
}

/// How much a table allows, beside the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    /// No more: where no tunnel runs, none is started for it.
    Less,
    More,
}
