//! The steps between a volume's storage and its published path: made, attached, formatted, mounted, and deleted in
//! the end.

use super::{Effect, Event, Ext4OnlineGrow, Here, Observed, Problem, Record, Step};
use crate::{
    spec::FsType,
    volume::{Contents, DeviceContent, Phase, Purge},
};

/// What a removed and released volume needs.
pub(super) fn removal(record: &Record, purge: Purge, seen: &Observed, here: &Here<'_>) -> Step {
    let now = here.now;
    // Missing storage with data on it can come back: its directory may just not be mounted.
    let has_data = match record.contents {
        Contents::Formatted | Contents::Inherited => true,
        Contents::Blank | Contents::Formatting => false,
    };
    // Not seen is not deleted where the record says what it is called.
    let exists = seen.provisioned || record.handle.is_some();
    let due = match purge {
        Purge::At(at) => at <= now,
        Purge::Condemned(_) => true,
        Purge::Never => false,
    };
    if record.spec.backend.is_directory() && seen.provisioned && !seen.aside && !due {
        return Step::Do(Effect::SetAside);
    }
    match purge {
        Purge::Never => Step::Idle,
        Purge::At(at) if at > now && (exists || has_data || here.me.is_some()) => Step::Wait(at),
        // Before it is deleted, and for good: other nodes could bring it back until then.
        Purge::At(_) if here.me.is_some() => Step::Record(Event::Condemned),
        Purge::At(_) | Purge::Condemned(_) if exists => Step::Do(Effect::Destroy),
        // It may have been made without an answer, and not be seen yet: deleted all the same.
        Purge::At(_) | Purge::Condemned(_)
            if record.spec.backend.is_in_a_cloud() && !seen.destroyed =>
        {
            Step::Do(Effect::Destroy)
        }
        Purge::At(_) | Purge::Condemned(_) => Step::Forget,
    }
}

/// Steps towards storage of the right size.
pub(super) fn storage(record: &Record, seen: &Observed) -> Option<Step> {
    if record.phase == Phase::Creating {
        // Also when it is there already: only who makes it knows what it is called.
        return Some(Step::Do(Effect::Provision));
    }
    if seen.aside {
        return Some(Step::Do(Effect::Provision));
    }
    if !seen.provisioned {
        return Some(match record.contents {
            Contents::Formatted | Contents::Inherited => Step::Stuck(Problem::StorageMissing),
            Contents::Blank | Contents::Formatting if record.handle.is_some() => {
                Step::Record(Event::StorageGone)
            }
            Contents::Blank | Contents::Formatting => Step::Do(Effect::Provision),
        });
    }
    record.is_growing().then(|| Step::Do(Effect::GrowStorage { to: record.wanted_size() }))
}

/// Steps towards a device with a file system on it.
pub(super) fn contents(record: &Record, seen: &Observed) -> Option<Step> {
    if record.spec.backend.is_directory() {
        return None;
    }
    if seen.device.is_none() {
        return Some(Step::Do(Effect::Attach));
    }
    match (record.contents, seen.content) {
        (Contents::Formatted, _) => None,
        // Also when formatting began before: this may be another device, made anew since.
        (Contents::Blank | Contents::Formatting, None) => Some(Step::Do(Effect::Probe)),
        (Contents::Inherited, None) => Some(Step::Do(Effect::Probe)),
        (Contents::Inherited, Some(DeviceContent::FileSystem { fs, uuid })) => {
            Some(Step::Record(Event::Recognised { fs, uuid }))
        }
        (Contents::Inherited, Some(DeviceContent::Blank | DeviceContent::Something)) => {
            Some(Step::Stuck(Problem::NothingInherited))
        }
        (
            Contents::Blank | Contents::Formatting,
            Some(DeviceContent::FileSystem { .. } | DeviceContent::Something),
        ) => Some(Step::Stuck(Problem::NotBlank)),
        (Contents::Blank, Some(DeviceContent::Blank)) => Some(Step::Record(Event::FormatBegun)),
        (Contents::Formatting, Some(DeviceContent::Blank)) => Some(Step::Do(Effect::Format)),
    }
}

/// Steps towards a published path. A grow comes after it where it can, so that no task waits.
pub(super) const fn mount(record: &Record, seen: &Observed, ext4: Ext4OnlineGrow) -> Option<Step> {
    let online = match (record.spec.fs, ext4) {
        (FsType::Xfs, _) | (FsType::Ext4, Ext4OnlineGrow::Possible) => true,
        (FsType::Ext4, Ext4OnlineGrow::NotPossible) => false,
    };
    if !seen.staged {
        let offline = record.file_system_behind && !online;
        return Some(Step::Do(if offline { Effect::GrowOffline } else { Effect::Stage }));
    }
    if !seen.published {
        return Some(Step::Do(Effect::Publish));
    }
    if record.file_system_behind && !seen.grow_at_next_mount {
        return Some(Step::Do(Effect::GrowOnline));
    }
    None
}
