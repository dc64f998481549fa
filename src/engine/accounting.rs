//! What directories hold: nothing stops a task from writing more into one than its size says, so it is
//! measured in the background, one volume after the other, and said; new mounts are refused where the
//! operator wants that.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{Engine, View, message::Message, registry::Handle};
use crate::{
    backend::{Accounting, Backend, VolumeRef},
    spec::Bytes,
    sys::usage,
    volume::{Record, VolumeId},
};

/// How often it is looked whether a volume is due, at least: in the table of volumes, which is cheap.
const LOOK: Duration = Duration::from_secs(5);

/// What a volume held when it was last measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The bytes used.
    pub used: Bytes,
    /// When.
    pub at: Timestamp,
}

impl Engine {
    /// The bytes used and those that are left. Of a volume with a file system of its own, one statvfs,
    /// which may wait for a busy one; of a directory, what was measured last.
    #[must_use]
    pub fn usage(&self, view: &View) -> Option<(Bytes, Bytes)> {
        if view.record.spec.backend.is_directory() {
            let used = view.measured?.used;
            return Some((used, view.record.spec.size.saturating_sub(used)));
        }
        view.path.as_ref()?;
        let usage = usage::of(&self.stage_path(view.record.id)).ok()?;
        Some((usage.used, usage.available))
    }

    /// Measures what is due until the daemon ends.
    pub(super) async fn measure_for_ever(self) {
        let mut attempts = HashMap::new();
        loop {
            let pause = self.measure_what_is_due(&mut attempts).await.unwrap_or(LOOK).min(LOOK);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shared.stopping.cancelled() => return,
            }
        }
    }

    /// The shortest interval at which a volume is measured, if any is.
    async fn measure_what_is_due(
        &self,
        attempts: &mut HashMap<VolumeId, Instant>,
    ) -> Option<Duration> {
        let mut shortest = None;
        let handles = self.shared.registry.all();
        attempts.retain(|id, _| self.shared.registry.by_id(*id).is_some());
        for handle in handles {
            let Some((server, every)) = self.measured_every(&handle) else { continue };
            shortest = Some(shortest.map_or(every, |shortest: Duration| shortest.min(every)));
            let view = handle.view();
            // The attempt counts: what cannot be measured is not tried all the time.
            let last = attempts.get(&view.record.id);
            if last.is_none_or(|at| at.elapsed() >= every) {
                attempts.insert(view.record.id, Instant::now());
                self.measure(&handle, server.as_ref(), &view).await;
            }
        }
        shortest
    }

    /// A volume that is a directory and there, and how often it is measured.
    fn measured_every(&self, handle: &Handle) -> Option<(Arc<dyn Backend>, Duration)> {
        let view = handle.view();
        let record = &view.record;
        let server = self.shared.host.server_of(record)?;
        let there = !record.is_removed() && record.handle.is_some() && self.measures(record);
        let Accounting { every, .. } = server.directories()?.accounting(&VolumeRef::from(record));
        every.filter(|_| there).map(|every| (server, every))
    }

    /// One node measures for all: the first of those that have it mounted.
    fn measures(&self, record: &Record) -> bool {
        let me = self.shared.store.me();
        me.is_none_or(|me| record.users.first() == Some(&me.node))
    }

    async fn measure(&self, handle: &Handle, server: &dyn Backend, view: &View) {
        let Some(directories) = server.directories() else { return };
        let volume = VolumeRef::from(&view.record);
        let measured = tokio::select! {
            measured = directories.measure(&volume) => measured,
            () = self.shared.stopping.cancelled() => return,
        };
        match measured {
            Ok(used) => handle.tell(Message::Measured(Measured { used, at: Timestamp::now() })),
            Err(error) => tracing::warn!(volume = %volume.name, %error, "not measured"),
        }
    }
}
