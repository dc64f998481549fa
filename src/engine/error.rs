//! What the engine answers when it does not do what was asked: what failed, on which volume, why,
//! and what to do.

use std::{sync::Arc, time::Duration};

use crate::{
    backend::{BackendError, ErrorKind},
    cluster::StoreError,
    share::mount::LeaveError,
    spec::{Difference, SpecError, VolumeName},
    volume::{NodeName, Record, plan::Problem, serving::Unable, transition::Refusal},
};

/// A request that was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The name or an option cannot be understood.
    #[error(transparent)]
    Spec(Arc<SpecError>),
    /// There is no such volume.
    #[error("no volume `{0}`")]
    NotFound(String),
    /// The name is taken.
    #[error("there is a volume `{0}` already: give another name (to undelete, --name NEW)")]
    NameTaken(VolumeName),
    /// It exists, and is not what is asked for.
    #[error(transparent)]
    Differs(Arc<Difference>),
    /// What is asked to be removed is not what there is.
    #[error(
        "remove {volume}: {}: nothing was removed; if it is meant, say its name alone, `{volume}`",
        .0.found(), volume = .0.volume
    )]
    NotMeant(Arc<Difference>),
    /// It is not allowed now.
    #[error("{op} {volume}: {refusal}")]
    Refused {
        /// What was asked.
        op: &'static str,
        /// Of which volume.
        volume: VolumeName,
        /// Why not.
        refusal: Refusal,
    },
    /// Every member of a group has a task, or cannot be had here.
    #[error(
        "mount {volume}: no volume of the group is left ({members}): stop a task, or have more volumes with `hawser volume set {volume} -o scale={}`",
        scale + 1
    )]
    Exhausted {
        /// The group.
        volume: VolumeName,
        /// How many members it has at most.
        scale: usize,
        /// Each, and why it is not to be had.
        members: String,
    },
    /// A step failed.
    #[error("{op} {volume}: {source}")]
    Failed {
        /// What was asked.
        op: &'static str,
        /// Of which volume.
        volume: VolumeName,
        /// The step, and why it failed.
        #[source]
        source: Arc<StepError>,
    },
    /// A backend failed at something that concerns no volume here.
    #[error("{op}: {source}")]
    Backend {
        /// What was asked.
        op: &'static str,
        /// Why it failed.
        #[source]
        source: Arc<StepError>,
    },
    /// No backend of this node has what is asked for.
    #[error("{op}: no backend of this node has {what} (ebs has: `backends.ebs.enabled`)")]
    NoBackend {
        /// What was asked.
        op: &'static str,
        /// What none has.
        what: &'static str,
    },
    /// There is storage of a new volume's name, which nobody took over.
    #[error(
        "create {volume}: {handle} has that name, and an empty volume is not made beside it: take it over (`hawser volume import {handle}`), or take its tag Name away"
    )]
    NotImported {
        /// The volume.
        volume: VolumeName,
        /// The storage.
        handle: String,
    },
    /// Storage cannot be taken over.
    #[error("import {handle}: {why}")]
    Import {
        /// Which storage.
        handle: String,
        /// Why not.
        why: String,
    },
    /// It could not be stored, so it was not done.
    #[error("{op} {volume}: {source}")]
    Store {
        /// What was asked.
        op: &'static str,
        /// Of which volume.
        volume: VolumeName,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// It takes longer than the caller waits.
    #[error(
        "{op} {volume}: not finished after {} s; it goes on in the background, and the call can be repeated (`hawser volume inspect {volume}` shows the step)",
        after.as_secs()
    )]
    Deadline {
        /// What was asked.
        op: &'static str,
        /// Of which volume.
        volume: VolumeName,
        /// How long it was waited for.
        after: Duration,
    },
    /// No removed volume of that name or id.
    #[error("no removed volume `{0}`: `hawser volume ls --removed` shows those that there are")]
    NoneRemoved(String),
    /// Removed volumes with that name: more than one.
    #[error("several removed volumes were called `{name}`: give one of the ids {ids}")]
    Ambiguous {
        /// The name.
        name: String,
        /// The ids to choose from.
        ids: String,
    },
    /// This node is in no cluster.
    #[error(
        "this node is in no cluster: set cluster.zookeeper and the peer port's certificates on every node (docs/cluster.md)"
    )]
    NoCluster,
    /// No node of that name.
    #[error("no node `{0}` in this cluster: `hawser node ls` shows them")]
    NoNode(NodeName),
    /// Another node refuses, or does not answer.
    #[error("{op} on node {node}: {why}")]
    Neighbour {
        /// What was asked.
        op: &'static str,
        /// Of which node.
        node: NodeName,
        /// Why not.
        why: String,
    },
    /// The cluster's store refuses.
    #[error("{op}: {source}")]
    Cluster {
        /// What was asked.
        op: &'static str,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// This node takes no more volumes.
    #[error("{op} {volume}: this node takes no more volumes: {why}")]
    Closed {
        /// What was asked.
        op: &'static str,
        /// Of which volume.
        volume: VolumeName,
        /// Why it takes none.
        why: Unable,
    },
    /// Nobody is left to answer.
    #[error("{op} {volume}: hawser is stopping, or the volume was deleted just now: try again")]
    Gone {
        /// What was asked.
        op: &'static str,
        /// Of which volume.
        volume: VolumeName,
    },
}

/// A step's own error: any.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step itself failed.
    #[error("{step}: {}", with_causes(source.as_ref()))]
    Step {
        /// The step's name.
        step: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// There is no step that would help.
    #[error(transparent)]
    Stuck(#[from] Problem),
    /// The volume was removed while it was asked for.
    #[error("it was removed just now: try again")]
    Removed,
    /// The volume's file system has failed.
    #[error(
        "its file system has failed: {0}; stop its tasks, then run `hawser volume fsck --repair`"
    )]
    FileSystem(String),
}

impl StepError {
    /// Whether a backend failed in that way.
    pub(super) fn is(&self, kind: ErrorKind) -> bool {
        match self {
            Self::Step { source, .. } => {
                source.downcast_ref::<BackendError>().is_some_and(|error| error.kind == kind)
            }
            Self::Stuck(_) | Self::Removed | Self::FileSystem(_) => false,
        }
    }

    /// What tasks wrote could not be written back.
    pub(super) fn is_unwritten(&self) -> bool {
        match self {
            Self::Step { source, .. } => {
                matches!(source.downcast_ref(), Some(LeaveError::Dirty { .. }))
            }
            Self::Stuck(_) | Self::Removed | Self::FileSystem(_) => false,
        }
    }
}

/// An error with its causes, each said once: what a caller is told, since nobody else prints them.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

impl From<SpecError> for EngineError {
    fn from(error: SpecError) -> Self {
        Self::Spec(Arc::new(error))
    }
}
/// The end of a step that waited for other nodes.
pub(super) fn unwanted(op: &'static str, record: &Record) -> Cause {
    Box::new(BackendError {
        kind: ErrorKind::Cancelled,
        op,
        backend: record.spec.backend.kind(),
        source: "nobody wants it any more".into(),
    })
}
