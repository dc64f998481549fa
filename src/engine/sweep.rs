//! The regular look at what nobody reports: file systems that failed, mounts that vanished, and
//! holders that nobody will ever release.
//!
//! One look at the mount table and one at the other mount namespaces serve all volumes.

use std::{collections::HashMap, collections::HashSet, io, path::PathBuf, sync::Arc};

use tokio::task::spawn_blocking;

use super::{Engine, message::Message, view::View};
use crate::{
    sys::{
        health::{self, Health},
        mountinfo::MountTable,
        namespaces::{self, OutsideHolder},
    },
    volume::{VolumeId, transition::Inherited},
};

/// What the look found about one volume.
struct Finding {
    id: VolumeId,
    outside: Option<Vec<OutsideHolder>>,
    health: Result<(), String>,
}

impl Engine {
    /// Looks every so often until the daemon ends.
    pub(super) async fn sweep_for_ever(self) {
        let mut ticks = tokio::time::interval(self.shared.settings.sweep);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sweep().await;
        }
    }

    async fn sweep(&self) {
        let handles = self.shared.registry.all();
        let candidates: Vec<_> = handles
            .iter()
            .map(super::Handle::view)
            .map(|view| Candidate {
                stage: self.stage_path(view.record.id),
                suspicious: self.is_suspicious(&view),
                view,
            })
            .filter(|candidate| candidate.is_staged() || candidate.is_forsaken())
            .collect();
        if candidates.is_empty() {
            return;
        }
        match spawn_blocking(move || look(&candidates)).await {
            Ok(Ok(findings)) => self.report(findings),
            Ok(Err(error)) => tracing::warn!(%error, "cannot look after the mounts"),
            Err(panic) => tracing::error!(%panic, "the look after the mounts failed"),
        }
    }

    /// Parked, or counted by a process that is gone.
    fn is_suspicious(&self, view: &View) -> bool {
        view.record.holders.iter().any(|holder| {
            holder.parked_since.is_some()
                || (!holder.id.is_anonymous()
                    && self.shared.callers.inherited(&holder.epoch) == Inherited::Yes)
        })
    }

    fn report(&self, findings: Vec<Finding>) {
        for Finding { id, outside, health } in findings {
            if let Some(handle) = self.shared.registry.by_id(id) {
                // A volume that was forgotten in this moment has nobody to tell.
                let _ = handle.inbox.send(Message::Swept { outside, health });
            }
        }
    }
}

/// A mounted volume to look at.
struct Candidate {
    view: Arc<View>,
    stage: PathBuf,
    suspicious: bool,
}

impl Candidate {
    fn is_staged(&self) -> bool {
        self.view.observed.as_ref().is_some_and(|seen| seen.staged)
    }

    /// It cannot be mounted, and those who counted are gone: nobody would ever let go of it. Not
    /// one with a parked holder, who may have a device that is not known here.
    fn is_forsaken(&self) -> bool {
        let View { record, observed, doing, failure, .. } = &*self.view;
        self.suspicious
            && failure.is_some()
            && doing.is_none()
            && observed.as_ref().is_none_or(|seen| seen.device.is_none())
            && record.holders.iter().all(|holder| holder.parked_since.is_none())
    }
}

fn look(candidates: &[Candidate]) -> io::Result<Vec<Finding>> {
    let mounts = MountTable::read()?;
    let suspicious: HashSet<_> = candidates
        .iter()
        .filter(|candidate| candidate.suspicious)
        .filter_map(|candidate| Some(candidate.view.observed.as_ref()?.device.as_ref()?.number))
        .collect();
    let outside = if suspicious.is_empty() {
        HashMap::new()
    } else {
        namespaces::outside_holders_of_many(&suspicious)?
    };
    Ok(candidates.iter().map(|candidate| finding(candidate, &mounts, &outside)).collect())
}

fn finding(
    candidate: &Candidate,
    mounts: &MountTable,
    outside: &HashMap<(u32, u32), Vec<OutsideHolder>>,
) -> Finding {
    let device = candidate.view.observed.as_ref().and_then(|seen| seen.device.as_ref());
    let outside = match device {
        Some(device) if candidate.suspicious => {
            Some(outside.get(&device.number).cloned().unwrap_or_default())
        }
        Some(_) => None,
        // The mount table has the last word on what is not observed.
        None => (mounts.at(&candidate.stage).is_none()).then(Vec::new),
    };
    // A mount that is gone is found by the task itself, with one stat.
    let health = match mounts.at(&candidate.stage) {
        None => Ok(()),
        Some(mount) => match health::health(mount, &candidate.stage) {
            Health::Ok => Ok(()),
            // The next mount checks it; until then it serves.
            Health::Damaged(_) => Ok(()),
            Health::ReadOnly(reason) | Health::Shutdown(reason) | Health::Unknown(reason) => {
                Err(reason)
            }
        },
    };
    Finding { id: candidate.view.record.id, outside, health }
}
