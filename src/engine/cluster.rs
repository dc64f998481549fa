//! What operators and other nodes ask about the cluster: where a volume is, moving it, and forgetting a
//! node that is gone. What a node gives away is in `giving`.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::timeout};

use super::{
    Engine, LONG, Removal, SHORT,
    error::EngineError,
    message::{Forget, Message, Users},
    neighbours::{Effort, MoveRequest, Presence, ReleaseRequest, Released, RemoveRequest},
    registry::Handle,
};
use crate::{
    backend::MachineState,
    cluster::{NodeInfo, NodeState},
    spec::{BackendKind, VolumeName},
    volume::{Epoch, NodeName, Observed, VolumeId, lease::Session},
};

/// How long a node may take to say what it has of a volume.
const ASK: Duration = Duration::from_secs(5);

/// Where a volume is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: VolumeId,
    /// Its backend.
    pub backend: BackendKind,
    /// The node that was asked is in no cluster: no other one has the volume.
    #[serde(default)]
    pub alone: bool,
    /// The node that has its storage.
    pub owner: Option<NodeName>,
    /// Counts its owners.
    pub epoch: Epoch,
    /// A dead owner that is not fenced yet.
    pub fencing: Option<NodeName>,
    /// The nodes that have it mounted, or had when they were last heard of, where it needs no owner for
    /// that.
    #[serde(default)]
    pub users: BTreeSet<NodeName>,
    /// Of a volume that is not shared, the one of them: its tasks write by way of the owner.
    #[serde(default)]
    pub writer: Option<NodeName>,
    /// What each node has of it: only those that have something, or that do not say.
    pub nodes: Vec<NodePresence>,
}

/// What a node has of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodePresence {
    /// The node.
    pub node: NodeName,
    /// What it has; none where it does not say.
    pub presence: Option<Presence>,
    /// Why it does not say.
    pub error: Option<String>,
}

/// A node, as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// What it says of itself.
    #[serde(flatten)]
    pub info: NodeInfo,
    /// Its session with the store lives.
    pub alive: bool,
    /// It is the one that answers.
    pub here: bool,
    /// How many volumes it owns.
    pub owns: usize,
}

impl Engine {
    /// The nodes of the cluster, by name.
    ///
    /// # Errors
    ///
    /// Where this node is in no cluster.
    pub fn nodes(&self) -> Result<Vec<NodeRow>, EngineError> {
        let me = self.shared.store.me().ok_or(EngineError::NoCluster)?;
        let views = self.list();
        let row = |state: &NodeState| NodeRow {
            alive: state.session == Session::Lives,
            here: state.info.name == me.node,
            owns: views.iter().filter(|view| view.record.lease.is_of(&state.info.name)).count(),
            info: state.info.clone(),
        };
        Ok(self.shared.store.nodes().values().map(row).collect())
    }

    /// Where a volume is, and who uses it there.
    ///
    /// # Errors
    ///
    /// Where there is none of that name. A node that does not answer is no error.
    pub async fn whereabouts(&self, name: &VolumeName) -> Result<Whereabouts, EngineError> {
        let view = self.named(name)?.view();
        let record = &view.record;
        let mut asked = JoinSet::new();
        for NodeState { info, .. } in self.shared.store.nodes().values() {
            let (engine, info, id) = (self.clone(), info.clone(), record.id);
            asked.spawn(async move { engine.presence_on(&info, id).await });
        }
        let mut nodes = asked.join_all().await;
        nodes.retain(|node| {
            let concerned = record.lease.is_of(&node.node) || record.users.contains(&node.node);
            concerned || node.presence.as_ref().is_some_and(|has| *has != Presence::default())
        });
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(Whereabouts {
            name: record.name.to_string(),
            id: record.id,
            backend: record.spec.backend.kind(),
            alone: self.shared.store.me().is_none(),
            owner: record.lease.owner.as_ref().map(|owner| owner.node.clone()),
            epoch: record.lease.epoch,
            fencing: record.lease.from.as_ref().map(|owner| owner.node.clone()),
            users: record.users.clone(),
            writer: record.writer().cloned(),
            nodes,
        })
    }

    async fn presence_on(&self, info: &NodeInfo, id: VolumeId) -> NodePresence {
        let node = info.name.clone();
        if self.shared.store.me().is_some_and(|me| me.node == node) {
            return NodePresence { node, presence: Some(self.presence(id).await), error: None };
        }
        let answer = match &self.shared.neighbours {
            Some(neighbours) => match timeout(ASK, neighbours.presence(info, id)).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", ASK.as_secs())),
            },
            None => Err("this node has no peer port".to_owned()),
        };
        match answer {
            Ok(presence) => NodePresence { node, presence: Some(presence), error: None },
            Err(error) => NodePresence { node, presence: None, error: Some(error) },
        }
    }

    /// What this node has of a volume.
    pub async fn presence(&self, id: VolumeId) -> Presence {
        let Some(handle) = self.shared.registry.by_id(id) else { return Presence::default() };
        let view = handle.view();
        let seen = view.observed.clone().unwrap_or_else(Observed::default);
        Presence {
            attached: seen.device.is_some(),
            mounted: view.path.is_some(),
            reached: view.path.is_some() && seen.remote.published,
            holders: view.record.holders.iter().map(ToString::to_string).collect(),
            doing: view.doing.map(str::to_owned),
            failure: view.failure.clone(),
            ways: self.ways(&view).await,
        }
    }

    /// Another node wants a volume of this one.
    ///
    /// # Errors
    ///
    /// Where it is not known in time whether it could let go.
    pub async fn release(
        &self,
        request: &ReleaseRequest,
        asker: NodeName,
    ) -> Result<Released, EngineError> {
        let Some(handle) = self.shared.registry.by_id(request.volume) else {
            return Ok(Released::Busy("it does not know the volume yet".to_owned()));
        };
        let asker = request.remotely.then_some(asker);
        self.release_task(&handle, Some(request.epoch), Users::Stay, asker).await
    }

    pub(super) async fn release_task(
        &self,
        handle: &Handle,
        epoch: Option<Epoch>,
        users: Users,
        asker: Option<NodeName>,
    ) -> Result<Released, EngineError> {
        let name = handle.view().record.name.clone();
        let ask = |reply| Message::Release { epoch, users, asker, reply };
        Self::ask(handle, "release", &name, SHORT, ask).await
    }

    /// Moves a volume to a node, which mounts it once.
    ///
    /// # Errors
    ///
    /// It is where it was then, or on its way.
    pub async fn move_to(
        &self,
        name: &VolumeName,
        to: &NodeName,
        effort: Effort,
    ) -> Result<(), EngineError> {
        self.named(name)?;
        let me = self.shared.store.me().ok_or(EngineError::NoCluster)?;
        if *to == me.node {
            return self.take(name, effort).await;
        }
        let node = self.node(to)?;
        let request = MoveRequest { volume: name.clone(), effort };
        let neighbours = self.shared.neighbours.as_ref().ok_or(EngineError::NoCluster)?;
        neighbours.take(&node, &request).await.map_err(|error| EngineError::Neighbour {
            op: "move",
            node: to.clone(),
            why: error.to_string(),
        })
    }

    /// Gets a volume to this node.
    ///
    /// # Errors
    ///
    /// It is where it was then, or on its way.
    pub async fn take(&self, name: &VolumeName, effort: Effort) -> Result<(), EngineError> {
        self.refuse_new("move", name)?;
        let ask = |reply| Message::Take { effort, reply };
        Self::ask(&self.named(name)?, "move", name, LONG, ask).await
    }

    /// The other node that alone can do anything with the volume, if that is so: its disk has it.
    pub(super) fn only_on(&self, handle: &Handle) -> Option<NodeName> {
        let me = self.shared.store.me()?;
        let record = &handle.view().record;
        let owner = record.lease.owner.as_ref().filter(|owner| owner.node != me.node)?;
        let local = record.spec.backend.kind() == BackendKind::Local;
        local.then(|| owner.node.clone())
    }

    pub(super) async fn remove_on(
        &self,
        node: &NodeName,
        volume: &VolumeName,
        when: Removal,
    ) -> Result<(), EngineError> {
        let failed = |why: String| EngineError::Neighbour { op: "remove", node: node.clone(), why };
        if self.shared.store.session(node) == Session::Over {
            return Err(failed(format!(
                "the volume {volume} is on a disk of that node, which is away: remove it when the node is back, or forget the node with `hawser node rm`"
            )));
        }
        let unknown = format!(
            "the volume {volume} is on a disk of that node, and the cluster's store, which does not answer, has not said yet how it is reached: look at ZooKeeper"
        );
        let info = self.node(node).map_err(|_| failed(unknown))?;
        let request = RemoveRequest { volume: volume.clone(), when };
        let neighbours = self.shared.neighbours.as_ref().ok_or(EngineError::NoCluster)?;
        neighbours.remove(&info, &request).await.map_err(|error| failed(error.to_string()))
    }

    pub(super) fn node(&self, name: &NodeName) -> Result<NodeInfo, EngineError> {
        let nodes = self.shared.store.nodes();
        let state = nodes.get(name).ok_or_else(|| EngineError::NoNode(name.clone()))?;
        Ok(state.info.clone())
    }

    /// Forgets a node that is gone for good: what it owned may be taken by others, once it is fenced.
    /// Volumes on its own disks go with it, where `local` says so.
    ///
    /// # Errors
    ///
    /// Where it lives, or its machine runs, or it has local volumes that are not to be forgotten.
    pub async fn forget_node(
        &self,
        node: &NodeName,
        effort: Effort,
        local: Forget,
    ) -> Result<Vec<String>, EngineError> {
        let info = self.node(node)?;
        let state = self.shared.store.session(node);
        let refused = |why: String| EngineError::Neighbour { op: "rm", node: node.clone(), why };
        if state == Session::Lives {
            return Err(refused(
                "it lives: stop hawser there first, and wait for its session to end".to_owned(),
            ));
        }
        if effort == Effort::Usual {
            self.refuse_running(&info).await.map_err(refused)?;
        }
        let mut theirs = self.shared.registry.all();
        theirs.retain(|handle| {
            let record = &handle.view().record;
            record.lease.is_of(node) || record.users.contains(node)
        });
        let lost: Vec<String> = local_names(&theirs, node);
        if !lost.is_empty() && local == Forget::No {
            return Err(refused(format!(
                "volumes on its own disks would be lost with it: {} (--forget-local removes their records)",
                lost.join(", ")
            )));
        }
        let mut done = Vec::new();
        for handle in theirs {
            let name = handle.view().record.name.clone();
            let ask = |reply| Message::NodeGone { node: node.clone(), reply };
            Self::ask(&handle, "node rm", &name, SHORT, ask).await?;
            done.push(name.to_string());
        }
        let forgotten = self.shared.store.forget_node(node).await;
        forgotten.map_err(|source| EngineError::Cluster { op: "node rm", source })?;
        tracing::warn!(%node, volumes = done.len(), at = %Timestamp::now(), "node forgotten");
        Ok(done)
    }

    /// A machine that runs may still write.
    async fn refuse_running(&self, info: &NodeInfo) -> Result<(), String> {
        let Some(machine) = &info.machine else { return Ok(()) };
        for backend in self.shared.host.backends() {
            let Some(fencing) = backend.fencing() else { continue };
            match fencing.state(machine).await {
                Ok(MachineState::Gone) => {}
                Ok(MachineState::Runs) => {
                    return Err(format!(
                        "its machine {machine} runs: stop or terminate it first (--force takes its volumes from a running machine)"
                    ));
                }
                Err(error) => {
                    return Err(format!(
                        "the cloud does not say whether its machine {machine} runs: {error} (--force forgets it all the same)"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn local_names(handles: &[Handle], node: &NodeName) -> Vec<String> {
    let views = handles.iter().map(Handle::view);
    let local = views.filter(|view| {
        view.record.spec.backend.kind() == BackendKind::Local && view.record.lease.is_of(node)
    });
    local.map(|view| view.record.name.to_string()).collect()
}
