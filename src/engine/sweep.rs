//! The regular look at what nobody reports: file systems that failed, mounts that vanished, NFS servers that
//! died, and holders that nobody will ever release.
//!
//! One look at the mount table and one at the other mount namespaces serve all volumes. Each file
//! system is asked on a thread of its own, since one that does not answer must delay nobody.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::{Engine, message::Message, registry::Handle, view::View};
use crate::{
    backend::VolumeRef,
    sys::{
        health::{self, Health},
        mountinfo::{Mount, MountTable},
        namespaces::{self, OutsideHolder},
    },
    volume::{Epoch, VolumeId, effect::Effect},
};

/// A file system that has not answered for this long is reported.
const SILENCE: Duration = Duration::from_secs(30);

/// How often the servers of shared volumes are looked at: tasks of other nodes wait while one is gone.
const SERVERS: Duration = Duration::from_secs(1);

/// The questions to file systems that are not answered yet.
type Questions = HashMap<VolumeId, (Instant, JoinHandle<()>)>;

/// What other namespaces hold, by device.
type Outside = HashMap<(u32, u32), Vec<OutsideHolder>>;

/// A mounted volume to look at.
struct Candidate {
    handle: Handle,
    view: Arc<View>,
    stage: PathBuf,
    /// Where it is mounted by way of another node.
    reach: PathBuf,
    /// Parked, or perhaps never to be released.
    suspicious: bool,
}

impl Engine {
    /// Looks every so often until the daemon ends.
    pub(super) async fn sweep_for_ever(self) {
        let mut questions = Questions::new();
        let mut ticks = tokio::time::interval(self.shared.settings.sweep);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut servers = tokio::time::interval(SERVERS);
        servers.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = servers.tick() => self.ask_servers(),
                _ = ticks.tick() => {
                    if let Err(error) = self.sweep(&mut questions).await {
                        tracing::warn!(%error, "cannot look after the mounts");
                    }
                }
            }
        }
    }

    async fn sweep(&self, questions: &mut Questions) -> io::Result<()> {
        questions.retain(|_, (_, question)| !question.is_finished());
        let handles = self.shared.registry.all();
        let forsaken: Vec<_> = handles.iter().filter(|h| self.is_forsaken(h)).cloned().collect();
        let candidates: Vec<_> = handles.into_iter().filter_map(|h| self.candidate(h)).collect();
        if candidates.is_empty() && forsaken.is_empty() {
            return Ok(());
        }
        let suspicious = candidates.iter().filter(|c| c.suspicious);
        let suspicious: Vec<_> =
            suspicious.flat_map(|c| [c.stage.clone(), c.reach.clone()]).collect();
        let (mounts, outside) = spawn_blocking(move || look(&suspicious)).await??;
        for handle in forsaken {
            // The mount table has the last word on what is not observed.
            let id = handle.view().record.id;
            let [stage, reach] = [self.stage_path(id), self.shared.host.reach_path(id)];
            if mounts.at(&stage).is_none() && mounts.at(&reach).is_none() {
                handle.tell(Message::Outside(Vec::new()));
            }
        }
        for candidate in candidates {
            if candidate.suspicious {
                let places = [&candidate.stage, &candidate.reach];
                let devices = places.into_iter().filter_map(|at| Some(mounts.at(at)?.device));
                let found = devices.filter_map(|device| outside.get(&device)).flatten();
                candidate.handle.tell(Message::Outside(found.cloned().collect()));
            }
            self.ask_health(candidate, &mounts, questions);
        }
        Ok(())
    }

    /// Asks what serves volumes to other nodes whether it does.
    fn ask_servers(&self) {
        let Ok(sharing) = &self.shared.sharing else { return };
        if sharing.serves_nothing() {
            return;
        }
        for handle in self.shared.registry.all() {
            let view = handle.view();
            // One that is known not to be served right is being mended.
            let exported = view.observed.as_ref().and_then(|seen| seen.exported);
            let right = exported.is_some_and(|epoch| epoch != Epoch::FIRST);
            // A recall waits for the writer, which needs the server.
            let at_rest = view.doing.is_none_or(|doing| doing == Effect::Recall.name());
            if right && at_rest && !sharing.serves(view.record.id) {
                handle.tell(Message::Unserved);
            }
        }
    }

    fn candidate(&self, handle: Handle) -> Option<Candidate> {
        let view = handle.view();
        view.observed.as_ref().filter(|seen| seen.staged || seen.remote.mounted)?;
        let id = view.record.id;
        let (stage, reach) = (self.stage_path(id), self.shared.host.reach_path(id));
        let mut holders = view.record.holders.iter();
        let suspicious =
            holders.any(|h| h.parked_since.is_some() || self.shared.may_be_forgotten(h));
        Some(Candidate { handle, view, stage, reach, suspicious })
    }

    /// It cannot be mounted, and those who counted may be gone: nobody would ever let go of it. Not
    /// one with a parked holder, who may have a device that is not known here.
    fn is_forsaken(&self, handle: &Handle) -> bool {
        let view = handle.view();
        let View { record, observed, doing, failure, .. } = &*view;
        failure.is_some()
            && doing.is_none()
            && observed.as_ref().is_none_or(|seen| seen.device.is_none())
            && record.holders.iter().all(|holder| holder.parked_since.is_none())
            && record.holders.iter().any(|holder| self.shared.may_be_forgotten(holder))
    }

    /// Asks the file system, unless the last question is still open.
    fn ask_health(&self, candidate: Candidate, mounts: &MountTable, questions: &mut Questions) {
        let Candidate { handle, view, stage, .. } = candidate;
        let id = view.record.id;
        // What is reached is its owner's to look after; to ask it could wait for ever.
        let Some(seen) = view.observed.as_ref().filter(|seen| seen.staged) else { return };
        if let Some((since, _)) = questions.get(&id) {
            if since.elapsed() > SILENCE {
                handle.tell(Message::Health(Err("it does not answer".to_owned())));
            }
            return;
        }
        let path = self.shared.host.published_path(&view.record.name);
        let shown = mounts.at(&path).map(|mount| mount.device);
        // Tasks of other nodes use it without its being shown here.
        let as_known = |mount: &&Mount| !seen.published || shown == Some(mount.device);
        let staged = mounts.at(&stage).filter(as_known);
        let Some(mount) = staged.cloned() else { return handle.tell(Message::Vanished) };
        let question = match self.shared.host.server_of(&view.record) {
            // Whoever touches the mount of a server that is away waits for it: the server is asked
            // by itself.
            Some(server) => {
                let volume = VolumeRef::from(&view.record);
                tokio::spawn(async move {
                    let answer = match server.directories() {
                        Some(directories) => directories.answers(&volume).await,
                        None => Ok(()),
                    };
                    handle.tell(Message::Health(answer.map_err(|error| error.to_string())));
                })
            }
            None => spawn_blocking(move || handle.tell(Message::Health(judge(&mount, &stage)))),
        };
        questions.insert(id, (Instant::now(), question));
    }
}

/// `suspicious` are places where something is mounted.
fn look(suspicious: &[PathBuf]) -> io::Result<(MountTable, Outside)> {
    let mounts = MountTable::read()?;
    let devices: HashSet<_> =
        suspicious.iter().filter_map(|stage| Some(mounts.at(stage)?.device)).collect();
    let outside = if devices.is_empty() {
        HashMap::new()
    } else {
        namespaces::outside_holders_of_many(&devices)?
    };
    Ok((mounts, outside))
}

fn judge(mount: &Mount, stage: &Path) -> Result<(), String> {
    match health::health(mount, stage) {
        // The next mount checks a damaged one; until then it serves.
        Health::Ok | Health::Damaged(_) => Ok(()),
        Health::ReadOnly(reason) | Health::Shutdown(reason) | Health::Unknown(reason) => {
            Err(reason)
        }
    }
}
