//! What callers were promised, each a function, checked after every operation.

use super::life::Life;
use crate::volume::Contents;

impl Life {
    pub(super) fn assert_invariants(&mut self) {
        self.assert_running_containers_hold_the_volume();
        self.assert_memory_and_store_agree_on_what_matters();
        self.assert_sizes_only_grow();
    }

    pub(super) fn assert_data_is_there_when_mounted(&mut self) {
        assert!(self.world.staged && self.world.published, "granted and not mounted");
        assert_eq!(self.world.data(), Some(self.written.unwrap_or_default()), "data was lost");
        self.written.get_or_insert(0);
    }

    fn assert_running_containers_hold_the_volume(&self) {
        let (record, containers) = (&self.daemon.record, &self.world.containers);
        assert!(containers.is_empty() || record.is_held(), "{containers:?} run, unheld");
        assert!(containers.is_empty() || !record.is_removed(), "{containers:?} run, removed");
    }

    /// The contents decide what may be destroyed: they never say less on disk than in memory.
    fn assert_memory_and_store_agree_on_what_matters(&self) {
        assert_eq!(self.daemon.record.contents, self.world.stored.contents);
        assert!(self.written.is_none() || self.world.stored.contents == Contents::Formatted);
    }

    fn assert_sizes_only_grow(&mut self) {
        let size = self.world.stored.spec.size;
        assert!(size >= self.largest, "{size} after {}", self.largest);
        self.largest = size;
        if let (Some(storage), true) = (&self.world.storage, self.written.is_some()) {
            assert!(storage.size >= size, "the storage is smaller than the record says");
        }
    }
}
