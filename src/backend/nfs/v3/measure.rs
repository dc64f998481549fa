//! What a tree uses, measured slowly: a background job must not be felt on the filer.

use std::{collections::HashSet, time::Duration};

use nfs3_client::nfs3_types::nfs3::{fattr3, nfs_fh3, nfsstat3};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{NfsV3, failure::Failure, pages::Cursor};
use crate::backend::nfs::path::components;
use crate::backend::nfs::tree::{Cause, Kind, Pace, Usage};

impl NfsV3 {
    pub(super) async fn do_measure(&self, path: &str, pace: Pace) -> Result<Usage, Cause> {
        let top = self.find(&components(path)?).await?.ok_or(Cause::NotFound)?;
        let mut meter = Meter::new(pace, top.attributes.fsid);
        meter.count(&top.attributes);
        // What is to be read, the deepest last: as long as the tree is deep, not as it is wide.
        let mut unread = Vec::new();
        if top.is_directory() {
            unread.push((top.handle, Cursor::default()));
        }
        while let Some((directory, cursor)) = unread.pop() {
            self.measure_page(directory, cursor, &mut meter, &mut unread).await?;
        }
        Ok(meter.usage)
    }

    async fn measure_page(
        &self,
        directory: nfs_fh3,
        cursor: Cursor,
        meter: &mut Meter,
        unread: &mut Vec<(nfs_fh3, Cursor)>,
    ) -> Result<(), Cause> {
        meter.turn().await;
        let page = match self.page(&directory, cursor).await {
            Ok(page) => page,
            Err(failure) if is_gone(&failure) => return Ok(()),
            Err(failure) => return Err(failure.into()),
        };
        if let Some(next) = page.next {
            unread.push((directory.clone(), next));
        }
        for found in page.found {
            if !found.is_known() {
                meter.turn().await;
            }
            let Some(node) = self.known(&directory, found).await? else { continue };
            if meter.count(&node.attributes) && node.is_directory() {
                unread.push((node.handle, Cursor::default()));
            }
        }
        Ok(())
    }
}

/// Deleted while it was measured: what it used is not used any more.
fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::Status(nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_NOENT))
}

struct Meter {
    usage: Usage,
    file_system: u64,
    /// Files with several names that were counted: one of these is small, and they are few.
    linked: HashSet<u64>,
    interval: Interval,
}

impl Meter {
    fn new(pace: Pace, file_system: u64) -> Self {
        let between = Duration::from_secs(1) / pace.calls_per_second.get();
        let mut interval = interval(between.max(Duration::from_micros(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { usage: Usage::default(), file_system, linked: HashSet::new(), interval }
    }

    async fn turn(&mut self) {
        self.interval.tick().await;
    }

    /// Counts it, unless it was counted or belongs to another file system.
    fn count(&mut self, attributes: &fattr3) -> bool {
        if attributes.fsid != self.file_system {
            return false;
        }
        let kind = super::walk::kind_of(attributes);
        let linked = kind != Kind::Directory && attributes.nlink > 1;
        if linked && !self.linked.insert(attributes.fileid) {
            return false;
        }
        match kind {
            Kind::Directory => self.usage.directories += 1,
            Kind::File | Kind::Other => self.usage.files += 1,
        }
        self.usage.bytes += attributes.used;
        true
    }
}
