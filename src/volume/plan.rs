//! What to do next: the one decision that drives a volume from what is to what should be.
//!
//! ```text
//!  wanted:  Provision ▶ Attach ▶ Probe ▶ (record: Formatting) ▶ Format ─┐
//!                          └──── already formatted ───────────▶ Stage ──┴▶ Publish ▶ idle
//!  not:     Unpublish ▶ Unstage ▶ Detach ▶ idle
//!  removed: Unpublish ▶ Unstage ▶ Detach ▶ (purge time) ▶ Destroy ▶ forget
//!
//!  a directory, wanted:  Provision ▶ Stage ▶ Publish ▶ idle
//!              removed:  Unpublish ▶ Unstage ▶ SetAside ▶ (purge time) ▶ Destroy ▶ forget
//! ```
//!
//! The function is called after every event and every finished step, and at start: it keeps no
//! state of its own, so a crash between any two steps is nothing special.

use jiff::Timestamp;

use super::{
    Contents, DeviceContent, Observed, Phase, Purge, Record, Transit,
    effect::{self, Effect},
    transition::{self, Event},
};
use crate::spec::FsType;

/// Whether the volume is to be usable on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Somebody holds it, asks for it, or held it a moment ago (the linger).
    Mounted,
    /// Nobody does.
    Released,
    /// Nobody does, and its device is not to stay attached either: its slot is needed.
    Detached,
}

/// Whether this node can grow a mounted ext4 (it takes `CAP_SYS_RESOURCE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext4OnlineGrow {
    /// It can.
    Possible,
    /// It cannot: such volumes grow before they are mounted.
    NotPossible,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store this change of the record first.
    Record(Event),
    /// Do this.
    Do(Effect),
    /// Nothing can be done; the reason is for the callers.
    Stuck(Problem),
    /// Nothing to do before that time.
    Wait(Timestamp),
    /// Nothing to do.
    Idle,
    /// Nothing is left of the volume: forget its record.
    Forget,
}

/// Why a volume cannot be served though nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The storage of a volume with data on it is not there.
    #[error(
        "its storage is missing: it was moved or deleted behind hawser's back (put it back, or remove the volume)"
    )]
    StorageMissing,
    /// The device of a volume that was never formatted is not blank.
    #[error(
        "its storage was never formatted by hawser and yet is not blank: hawser does not format over data it does not know"
    )]
    NotBlank,
    /// What was to come with a file system has none.
    #[error(
        "its storage came from a snapshot or from another plugin, and holds no file system that hawser mounts (ext4 or xfs on the whole disk): nothing was changed"
    )]
    NothingInherited,
}

/// Decides the next step.
#[must_use]
pub fn next(
    record: &Record,
    observed: Option<&Observed>,
    want: Want,
    ext4: Ext4OnlineGrow,
    now: Timestamp,
) -> Step {
    let Some(seen) = observed else { return Step::Do(Effect::Observe) };
    if seen.transit == Some(Transit::Detaching) {
        // Asked for, and not to be taken back: whoever wants it waits for the end of it.
        return Step::Do(Effect::Detach);
    }
    if record.frozen {
        // Before all else: tasks may be waiting. Not mounted, there is nothing that could be frozen.
        return if seen.staged { Step::Do(Effect::Thaw) } else { Step::Record(Event::Thawed) };
    }
    if let Phase::Removed { purge, .. } = record.phase {
        return release(seen).map_or_else(|| removal(record, purge, seen, now), Step::Do);
    }
    if seen.half_made && record.contents != Contents::Formatted {
        // Nobody was ever given this volume, so making its storage anew loses nothing, while
        // mkfs over half a file system would need the force flags that hawser never uses.
        return Step::Do(release(seen).unwrap_or(Effect::Destroy));
    }
    match want {
        Want::Released => {
            let stays = record.spec.backend.stays_attached();
            let step = if stays { unmount(seen) } else { release(seen) };
            step.map(Step::Do).or_else(|| storage(record, seen)).unwrap_or(Step::Idle)
        }
        Want::Detached => {
            release(seen).map(Step::Do).or_else(|| storage(record, seen)).unwrap_or(Step::Idle)
        }
        Want::Mounted => storage(record, seen)
            .or_else(|| contents(record, seen))
            .or_else(|| mount(record, seen, ext4))
            .unwrap_or(Step::Idle),
    }
}

/// Steps towards nothing of the volume being in the kernel.
#[must_use]
pub const fn release(seen: &Observed) -> Option<Effect> {
    match unmount(seen) {
        Some(effect) => Some(effect),
        None if seen.device.is_some() || seen.transit.is_some() => Some(Effect::Detach),
        None => None,
    }
}

/// Steps towards nothing of the volume being mounted.
#[must_use]
pub const fn unmount(seen: &Observed) -> Option<Effect> {
    if seen.published {
        Some(Effect::Unpublish)
    } else if seen.staged {
        Some(Effect::Unstage)
    } else {
        None
    }
}

/// The steps that the engine would take now, each taken to succeed: for `hawser doctor`.
#[must_use]
pub fn foresee(
    mut record: Record,
    mut seen: Observed,
    ext4: Ext4OnlineGrow,
    now: Timestamp,
) -> Vec<String> {
    let want = if record.is_held() { Want::Mounted } else { Want::Released };
    let mut steps = Vec::new();
    // Every step brings it nearer to the end; the limit only guards against a plan that does not.
    while steps.len() < 20 {
        let event = match next(&record, Some(&seen), want, ext4, now) {
            Step::Record(event) => Some(event),
            Step::Do(effect) => {
                steps.push(effect.name().to_owned());
                let (after, event) =
                    effect::absorb(seen, effect, effect::Outcome::foreseen(effect, &record));
                seen = after;
                event
            }
            Step::Stuck(problem) => {
                steps.push(problem.to_string());
                break;
            }
            Step::Forget => {
                steps.push("forget".to_owned());
                break;
            }
            Step::Wait(_) | Step::Idle => break,
        };
        if let Some(event) = event {
            record = transition::apply(&record, event, now).unwrap_or(record);
        }
    }
    steps
}

/// What a removed and released volume needs.
fn removal(record: &Record, purge: Purge, seen: &Observed, now: Timestamp) -> Step {
    // Missing storage with data on it can come back: its directory may just not be mounted.
    let has_data = match record.contents {
        Contents::Formatted | Contents::Inherited => true,
        Contents::Blank | Contents::Formatting => false,
    };
    // Not seen is not deleted where the record says what it is called.
    let exists = seen.provisioned || record.handle.is_some();
    let due = matches!(purge, Purge::At(at) if at <= now);
    if record.spec.backend.is_directory() && seen.provisioned && !seen.aside && !due {
        return Step::Do(Effect::SetAside);
    }
    match purge {
        Purge::Never => Step::Idle,
        Purge::At(at) if at > now && (exists || has_data) => Step::Wait(at),
        Purge::At(_) if exists => Step::Do(Effect::Destroy),
        // It may have been made without an answer, and not be seen yet: deleted all the same.
        Purge::At(_) if record.spec.backend.is_in_a_cloud() && !seen.destroyed => {
            Step::Do(Effect::Destroy)
        }
        Purge::At(_) => Step::Forget,
    }
}

/// Steps towards storage of the right size.
fn storage(record: &Record, seen: &Observed) -> Option<Step> {
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
    let changes = record.growing_to.is_some() || record.changing_to.is_some();
    changes.then(|| Step::Do(Effect::GrowStorage { to: record.wanted_size() }))
}

/// Steps towards a device with a file system on it.
fn contents(record: &Record, seen: &Observed) -> Option<Step> {
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
const fn mount(record: &Record, seen: &Observed, ext4: Ext4OnlineGrow) -> Option<Step> {
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

#[cfg(test)]
mod tests;
