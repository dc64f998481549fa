//! What sharing looks like from outside, for commands, `inspect` and metrics.
//!
//! The tunnel and the servers are asked, each with a short deadline: what does not answer is told as
//! that, and holds up nobody.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Sharing;
use crate::{
    engine::{Engine, view::View},
    share::tunnel::{Figures, Status, Table},
    spec::VolumeName,
    volume::{NodeName, VolumeId},
};

/// How long the tunnel, or a volume's server, may take to say how it is. Docker's `Get` waits for it.
const SOON: Duration = Duration::from_millis(500);

/// How a node shares a volume with others. Both where it took the volume over from the node through
/// which its tasks had reached it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ways {
    /// It serves it to other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<Serves>,
    /// Its tasks reach it through its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches: Option<Reaches>,
}

/// A volume that is served to other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serves {
    /// How its NFS server is.
    pub server: ServerState,
    /// What its connections carried; none where the tunnel does not say.
    pub tunnel: Option<Figures>,
}

/// A volume that is reached through its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaches {
    /// The owner that the tunnel leads to.
    pub through: NodeName,
    /// What the owner serves is mounted.
    pub mounted: bool,
    /// What its connections carried; none where the tunnel does not say.
    pub tunnel: Option<Figures>,
}

/// How a volume's NFS server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It answers.
    Answers,
    /// It runs and does not answer soon.
    Silent,
    /// There is none: it is started again.
    Ended,
}

/// All that this node shares, and what its tunnel says of it.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// A line for each volume and way.
    pub volumes: Vec<CarriedVolume>,
    /// The tunnel; none where it does not answer, or there is none since nothing is shared.
    pub tunnel: Option<Status>,
}

/// A volume that this node shares.
#[derive(Debug, Clone)]
pub struct CarriedVolume {
    /// Its name; none of one that this daemon does not know any more.
    pub name: Option<VolumeName>,
    /// Its identity.
    pub id: VolumeId,
    /// By which way.
    pub way: CarriedWay,
    /// What its connections carried; none where the tunnel does not say.
    pub figures: Option<Figures>,
}

/// The way of a volume that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarriedWay {
    /// This node serves it.
    Serves {
        /// Its NFS server lives.
        lives: bool,
        /// How many nodes reach it here.
        users: usize,
    },
    /// This node reaches it through that one.
    Reaches {
        /// The owner.
        through: NodeName,
        /// What it serves is mounted.
        mounted: bool,
    },
}

impl Sharing {
    /// What the tunnel says of itself, if it says it soon.
    async fn status_soon(&self) -> Option<Status> {
        timeout(SOON, self.in_force.tunnel.status()).await.ok()?.ok()
    }

    async fn server_state(&self, volume: VolumeId, port: u16) -> ServerState {
        if !self.serves(volume) {
            return ServerState::Ended;
        }
        match timeout(SOON, self.server(volume, port).answers()).await {
            Ok(true) => ServerState::Answers,
            Ok(false) | Err(_) => ServerState::Silent,
        }
    }

    async fn ways(&self, volume: VolumeId, mounted: bool) -> Ways {
        let (export, remote) = {
            let table = self.in_force.now();
            let export = table.exports.iter().find(|export| export.volume == volume).cloned();
            (export, table.remotes.iter().find(|remote| remote.volume == volume).cloned())
        };
        if export.is_none() && remote.is_none() {
            return Ways::default();
        }
        let server = async {
            match export {
                Some(export) => Some(self.server_state(volume, export.port).await),
                None => None,
            }
        };
        let (status, server) = tokio::join!(self.status_soon(), server);
        let status = status.as_ref();
        Ways {
            serves: server.map(|server| Serves { server, tunnel: exported(status, volume) }),
            reaches: remote.map(|remote| Reaches {
                through: remote.owner,
                mounted,
                tunnel: reached(status, volume),
            }),
        }
    }
}

fn exported(status: Option<&Status>, volume: VolumeId) -> Option<Figures> {
    let found = status?.exports.iter().find(|status| status.export.volume == volume)?;
    Some(found.figures.clone())
}

fn reached(status: Option<&Status>, volume: VolumeId) -> Option<Figures> {
    let found = status?.remotes.iter().find(|status| status.remote.volume == volume)?;
    Some(found.figures.clone())
}

impl Engine {
    /// How this node shares a volume with others.
    pub async fn ways(&self, view: &View) -> Ways {
        match &self.shared.sharing {
            Ok(sharing) if view.record.is_served() => {
                sharing.ways(view.record.id, is_reached(view)).await
            }
            Ok(_) | Err(_) => Ways::default(),
        }
    }

    /// All that this node shares, for its metrics.
    pub async fn carried(&self) -> Carried {
        let Ok(sharing) = &self.shared.sharing else { return Carried::default() };
        let table: Table = sharing.in_force.now().clone();
        let tunnel = sharing.status_soon().await;
        let view_of = |id| self.shared.registry.by_id(id).map(|handle| handle.view());
        let exports = table.exports.iter().map(|export| {
            let (id, view) = (export.volume, view_of(export.volume));
            CarriedVolume {
                id,
                way: CarriedWay::Serves {
                    lives: sharing.serves(id),
                    users: view.as_ref().map_or(0, |view| view.record.users.len()),
                },
                name: view.map(|view| view.record.name.clone()),
                figures: exported(tunnel.as_ref(), id),
            }
        });
        let remotes = table.remotes.iter().map(|remote| {
            let (id, view) = (remote.volume, view_of(remote.volume));
            CarriedVolume {
                id,
                way: CarriedWay::Reaches {
                    through: remote.owner.clone(),
                    mounted: view.as_ref().is_some_and(|view| is_reached(view)),
                },
                name: view.map(|view| view.record.name.clone()),
                figures: reached(tunnel.as_ref(), id),
            }
        });
        let volumes = exports.chain(remotes).collect();
        Carried { volumes, tunnel }
    }
}

/// What its owner serves is mounted here, as it was last seen.
fn is_reached(view: &View) -> bool {
    view.observed.as_ref().is_some_and(|seen| seen.remote.mounted)
}
