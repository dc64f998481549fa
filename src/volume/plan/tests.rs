//! The plan for each state, and what it must never ask for.

mod claim;
mod cluster;
mod groups;
mod reach;

use jiff::SignedDuration;
use uuid::Uuid;

use super::*;
use crate::{
    spec::{AttachPolicy, Bytes, FsType},
    volume::{
        Device, DeviceContent, Owner, effect,
        testing::{self, START, at, here, new_record, on_ebs, on_nfs, removed_record, used_record},
        transition,
    },
};

/// On a node that is in no cluster.
fn next(
    record: &Record,
    observed: Option<&Observed>,
    want: Want,
    ext4: Ext4OnlineGrow,
    now: Timestamp,
) -> Step {
    let here = Here { ext4, now, ..here(None) };
    super::next(record, observed, want, &here)
}

fn nothing() -> Observed {
    Observed::default()
}

fn provisioned() -> Observed {
    Observed { provisioned: true, ..nothing() }
}

fn attached() -> Observed {
    let device = Device { path: "/dev/loop7".into(), number: (7, 7) };
    Observed { device: Some(device), ..provisioned() }
}

fn probed(content: DeviceContent) -> Observed {
    Observed { content: Some(content), ..attached() }
}

fn staged() -> Observed {
    Observed { staged: true, ..attached() }
}

fn mounted() -> Observed {
    Observed { published: true, ..staged() }
}

fn half_made(seen: Observed) -> Observed {
    Observed { half_made: true, ..seen }
}

fn ready(contents: Contents) -> Record {
    Record { contents, ..used_record() }
}

fn behind(fs: FsType) -> Record {
    let mut record = Record { file_system_behind: true, ..used_record() };
    record.spec.fs = fs;
    record
}

fn wanted(record: &Record, seen: &Observed) -> Step {
    next(record, Some(seen), Want::Mounted, Ext4OnlineGrow::Possible, START)
}

fn released(record: &Record, seen: &Observed) -> Step {
    next(record, Some(seen), Want::Released, Ext4OnlineGrow::Possible, START)
}

#[test]
fn nothing_is_decided_before_somebody_looked() {
    for record in [new_record(), used_record(), removed_record(Purge::At(START))] {
        for want in [Want::Mounted, Want::Released] {
            let step = next(&record, None, want, Ext4OnlineGrow::Possible, START);
            assert_eq!(step, Step::Do(Effect::Observe));
        }
    }
}

#[test]
fn a_new_volume_that_somebody_waits_for_is_made_step_by_step() {
    let blank = ready(Contents::Blank);
    for (record, seen, step) in [
        (new_record(), nothing(), Step::Do(Effect::Provision)),
        (new_record(), provisioned(), Step::Do(Effect::Provision)),
        (blank.clone(), provisioned(), Step::Do(Effect::Attach)),
        (blank.clone(), attached(), Step::Do(Effect::Probe)),
        (blank, probed(DeviceContent::Blank), Step::Record(Event::FormatBegun)),
        (ready(Contents::Formatting), probed(DeviceContent::Blank), Step::Do(Effect::Format)),
        (used_record(), staged(), Step::Do(Effect::Publish)),
        (used_record(), mounted(), Step::Idle),
    ] {
        assert_eq!(wanted(&record, &seen), step, "{record:?} {seen:?}");
    }
}

#[test]
fn a_used_volume_is_mounted_without_a_probe_or_mkfs() {
    for (seen, step) in [
        (provisioned(), Effect::Attach),
        (attached(), Effect::Stage),
        (probed(DeviceContent::Blank), Effect::Stage),
        (staged(), Effect::Publish),
    ] {
        assert_eq!(wanted(&used_record(), &seen), Step::Do(step), "{seen:?}");
    }
}

#[test]
fn a_volume_that_was_never_formatted_and_is_not_blank_is_left_alone() {
    let seen = probed(DeviceContent::Something);
    assert_eq!(wanted(&ready(Contents::Blank), &seen), Step::Stuck(Problem::NotBlank));
}

#[test]
fn a_device_that_was_not_probed_since_it_was_attached_is_not_formatted() {
    let formatting = ready(Contents::Formatting);
    assert_eq!(wanted(&formatting, &attached()), Step::Do(Effect::Probe));
    let seen = probed(DeviceContent::Something);
    assert_eq!(wanted(&formatting, &seen), Step::Stuck(Problem::NotBlank));
}

#[test]
fn half_made_storage_is_destroyed_and_made_anew_once_nothing_uses_it() {
    let formatting = ready(Contents::Formatting);
    for decide in [wanted, released] {
        for (seen, step) in [
            (mounted(), Effect::Unpublish),
            (staged(), Effect::Unstage),
            (attached(), Effect::Detach),
            (provisioned(), Effect::Destroy),
        ] {
            assert_eq!(decide(&formatting, &half_made(seen)), Step::Do(step));
        }
        assert_eq!(decide(&formatting, &nothing()), Step::Do(Effect::Provision));
    }
}

#[test]
fn storage_that_has_users_data_is_never_taken_for_half_made() {
    for decide in [wanted, released] {
        for seen in [provisioned(), attached(), staged(), mounted()] {
            let step = decide(&used_record(), &half_made(seen.clone()));
            assert_ne!(step, Step::Do(Effect::Destroy));
            assert_eq!(step, decide(&used_record(), &seen));
        }
    }
}

#[test]
fn missing_storage_of_a_used_volume_is_reported_and_never_made_anew() {
    for decide in [wanted, released] {
        assert_eq!(decide(&used_record(), &nothing()), Step::Stuck(Problem::StorageMissing));
    }
}

#[test]
fn a_released_volume_is_taken_down_from_the_top_and_kept() {
    for (seen, step) in [
        (mounted(), Step::Do(Effect::Unpublish)),
        (staged(), Step::Do(Effect::Unstage)),
        (attached(), Step::Do(Effect::Detach)),
        (provisioned(), Step::Idle),
    ] {
        assert_eq!(released(&used_record(), &seen), step);
    }
}

#[test]
fn a_new_volume_that_nobody_mounts_is_made_and_not_attached() {
    assert_eq!(released(&new_record(), &nothing()), Step::Do(Effect::Provision));
    assert_eq!(released(&new_record(), &provisioned()), Step::Do(Effect::Provision));
    assert_eq!(released(&ready(Contents::Blank), &provisioned()), Step::Idle);
}

#[test]
fn storage_grows_at_once_mounted_or_not() {
    let to = Bytes::gib(20);
    let growing = Record { growing_to: Some(to), ..used_record() };
    let grow = Step::Do(Effect::GrowStorage { to });
    for seen in [provisioned(), attached(), staged(), mounted()] {
        assert_eq!(wanted(&growing, &seen), grow);
    }
    assert_eq!(released(&growing, &provisioned()), grow);
    assert_eq!(released(&growing, &mounted()), Step::Do(Effect::Unpublish));
}

#[test]
fn a_file_system_that_can_grow_while_mounted_does_so_after_it_is_published() {
    for fs in [FsType::Ext4, FsType::Xfs] {
        assert_eq!(wanted(&behind(fs), &attached()), Step::Do(Effect::Stage));
        assert_eq!(wanted(&behind(fs), &staged()), Step::Do(Effect::Publish));
        assert_eq!(wanted(&behind(fs), &mounted()), Step::Do(Effect::GrowOnline));
    }
}

#[test]
fn an_ext4_that_cannot_grow_while_mounted_grows_before_it_is_staged() {
    let step = |fs, seen: &Observed| {
        next(&behind(fs), Some(seen), Want::Mounted, Ext4OnlineGrow::NotPossible, START)
    };
    assert_eq!(step(FsType::Ext4, &attached()), Step::Do(Effect::GrowOffline));
    assert_eq!(step(FsType::Xfs, &attached()), Step::Do(Effect::Stage));
    // Mounted already: it is tried once, and once deferred the tasks are left in peace.
    assert_eq!(step(FsType::Ext4, &mounted()), Step::Do(Effect::GrowOnline));
    let deferred = Observed { grow_at_next_mount: true, ..mounted() };
    assert_eq!(step(FsType::Ext4, &deferred), Step::Idle);
}

#[test]
fn a_removed_volume_is_released_first_and_waits_for_its_time() {
    let removed = removed_record(Purge::At(at(60)));
    for (seen, step) in [
        (mounted(), Step::Do(Effect::Unpublish)),
        (staged(), Step::Do(Effect::Unstage)),
        (attached(), Step::Do(Effect::Detach)),
        (provisioned(), Step::Wait(at(60))),
    ] {
        for want in [Want::Mounted, Want::Released] {
            let due = |now| next(&removed, Some(&seen), want, Ext4OnlineGrow::Possible, now);
            assert_eq!(due(at(59)), step);
            let at_last =
                if seen == provisioned() { Step::Do(Effect::Destroy) } else { step.clone() };
            assert_eq!(due(at(60)), at_last);
        }
    }
    let gone = next(&removed, Some(&nothing()), Want::Released, Ext4OnlineGrow::Possible, at(60));
    assert_eq!(gone, Step::Forget);
}

/// The directory of the images may just not be mounted: forgotten, the volume could not be brought
/// back, and its image would be left for ever.
#[test]
fn a_removed_volume_whose_storage_is_missing_is_not_forgotten_before_its_time() {
    let removed = removed_record(Purge::At(at(60)));
    assert_eq!(released(&removed, &nothing()), Step::Wait(at(60)));
    let never_used = Record { contents: Contents::Blank, ..removed };
    assert_eq!(released(&never_used, &nothing()), Step::Forget);
}

#[test]
fn a_retained_volume_is_released_and_never_destroyed() {
    let retained = removed_record(Purge::Never);
    for seen in [nothing(), provisioned(), half_made(provisioned())] {
        let step =
            |now| next(&retained, Some(&seen), Want::Released, Ext4OnlineGrow::Possible, now);
        assert_eq!((step(START), step(Timestamp::MAX)), (Step::Idle, Step::Idle));
    }
    assert_eq!(released(&retained, &staged()), Step::Do(Effect::Unstage));
}

#[test]
fn what_stays_attached_is_unmounted_and_keeps_its_slot_until_the_slot_is_needed() {
    let stays = on_ebs(used_record(), AttachPolicy::Stay);
    let follows = on_ebs(used_record(), AttachPolicy::Follow);
    for record in [&stays, &follows] {
        assert_eq!(released(record, &mounted()), Step::Do(Effect::Unpublish));
        assert_eq!(released(record, &staged()), Step::Do(Effect::Unstage));
    }
    assert_eq!(released(&stays, &attached()), Step::Idle);
    assert_eq!(released(&follows, &attached()), Step::Do(Effect::Detach));
    let detached = next(&stays, Some(&attached()), Want::Detached, Ext4OnlineGrow::Possible, START);
    assert_eq!(detached, Step::Do(Effect::Detach));
    let removed = on_ebs(removed_record(Purge::At(START)), AttachPolicy::Stay);
    assert_eq!(released(&removed, &attached()), Step::Do(Effect::Detach), "a removed one goes");
}

/// DetachVolume cannot be taken back: a device that is on its way out must not be mounted again.
#[test]
fn a_detach_under_way_is_waited_for_whoever_wants_the_volume() {
    let seen = Observed { transit: Some(Transit::Detaching), ..provisioned() };
    for attach in [AttachPolicy::Stay, AttachPolicy::Follow] {
        let record = on_ebs(used_record(), attach);
        for want in [Want::Mounted, Want::Released, Want::Detached] {
            let step = next(&record, Some(&seen), want, Ext4OnlineGrow::Possible, START);
            assert_eq!(step, Step::Do(Effect::Detach));
        }
    }
}

#[test]
fn an_attach_that_a_crash_interrupted_is_finished_or_undone() {
    let seen = Observed { transit: Some(Transit::Attaching), ..provisioned() };
    let follows = on_ebs(used_record(), AttachPolicy::Follow);
    assert_eq!(wanted(&follows, &seen), Step::Do(Effect::Attach));
    assert_eq!(released(&follows, &seen), Step::Do(Effect::Detach));
}

#[test]
fn storage_with_a_name_of_its_own_is_deleted_by_it_even_where_it_is_not_seen() {
    let removed = on_ebs(removed_record(Purge::At(START)), AttachPolicy::Stay);
    assert_eq!(released(&removed, &nothing()), Step::Do(Effect::Destroy));
    // Made, perhaps, without an answer, and not seen yet.
    let nameless = Record { handle: None, ..removed };
    assert_eq!(released(&nameless, &nothing()), Step::Do(Effect::Destroy));
    let destroyed = Observed { destroyed: true, ..nothing() };
    assert_eq!(released(&nameless, &destroyed), Step::Forget);
}

/// The cloud answers the same request with the volume that was deleted: it must be told apart.
#[test]
fn storage_that_vanished_before_it_was_used_is_recorded_as_gone_and_made_anew() {
    for contents in [Contents::Blank, Contents::Formatting] {
        let blank = on_ebs(ready(contents), AttachPolicy::Stay);
        assert_eq!(wanted(&blank, &nothing()), Step::Record(Event::StorageGone));
        let gone = transition::apply(&blank, Event::StorageGone, START).unwrap();
        assert_eq!((&gone.handle, gone.generation), (&None, 1));
        assert_eq!(wanted(&gone, &nothing()), Step::Do(Effect::Provision));
    }
}

#[test]
fn a_file_system_that_came_with_the_storage_is_recognised_and_never_formatted() {
    let inherited = ready(Contents::Inherited);
    let uuid = Uuid::from_u128(7);
    let found = probed(DeviceContent::FileSystem { fs: FsType::Xfs, uuid });
    assert_eq!(wanted(&inherited, &attached()), Step::Do(Effect::Probe));
    assert_eq!(
        wanted(&inherited, &found),
        Step::Record(Event::Recognised { fs: FsType::Xfs, uuid })
    );
    for content in [DeviceContent::Blank, DeviceContent::Something] {
        assert_eq!(wanted(&inherited, &probed(content)), Step::Stuck(Problem::NothingInherited));
    }
    assert_eq!(wanted(&inherited, &nothing()), Step::Stuck(Problem::StorageMissing));

    let known =
        transition::apply(&inherited, Event::Recognised { fs: FsType::Xfs, uuid }, START).unwrap();
    assert_eq!(known.file_system_uuid, Some(uuid));
    assert_eq!(wanted(&known, &found), Step::Do(Effect::Stage));
    assert_eq!(wanted(&known, &mounted()), Step::Do(Effect::GrowOnline), "it may be smaller");
}

#[test]
fn other_settings_are_brought_to_the_storage_without_a_new_size() {
    let changing = Record {
        changing_to: Some(testing::ebs(AttachPolicy::Follow)),
        ..on_ebs(used_record(), AttachPolicy::Stay)
    };
    let to = changing.spec.size;
    assert_eq!(wanted(&changing, &mounted()), Step::Do(Effect::GrowStorage { to }));
    let backend = testing::ebs(AttachPolicy::Follow);
    let changed = transition::apply(&changing, Event::StorageGrown { to, backend }, START).unwrap();
    assert!(!changed.file_system_behind && changed.changing_to.is_none());
    assert_eq!(wanted(&changed, &mounted()), Step::Idle);
}

#[test]
fn a_directory_is_mounted_without_a_device_and_never_formatted() {
    let record = on_nfs(used_record());
    assert_eq!(wanted(&record, &provisioned()), Step::Do(Effect::Stage));
    let staged = Observed { staged: true, ..provisioned() };
    assert_eq!(wanted(&record, &staged), Step::Do(Effect::Publish));
    let mounted = Observed { published: true, ..staged.clone() };
    assert_eq!(wanted(&record, &mounted), Step::Idle);
    assert_eq!(released(&record, &mounted), Step::Do(Effect::Unpublish));
    assert_eq!(released(&record, &staged), Step::Do(Effect::Unstage));
    assert_eq!(released(&record, &provisioned()), Step::Idle);
}

#[test]
fn a_removed_directory_makes_room_for_the_next_of_its_name() {
    let aside = Observed { aside: true, ..provisioned() };
    let later = Purge::At(at(60));
    for purge in [later, Purge::Never] {
        let record = on_nfs(removed_record(purge));
        assert_eq!(released(&record, &provisioned()), Step::Do(Effect::SetAside));
    }
    assert_eq!(released(&on_nfs(removed_record(later)), &aside), Step::Wait(at(60)));
    assert_eq!(released(&on_nfs(removed_record(Purge::Never)), &aside), Step::Idle);
    // Due: nothing is gained by two steps.
    let due = on_nfs(removed_record(Purge::At(START)));
    assert_eq!(released(&due, &provisioned()), Step::Do(Effect::Destroy));
    assert_eq!(released(&due, &aside), Step::Do(Effect::Destroy));
    // Undeleted: brought back at once, before somebody takes its place.
    assert_eq!(released(&on_nfs(used_record()), &aside), Step::Do(Effect::Provision));
}
