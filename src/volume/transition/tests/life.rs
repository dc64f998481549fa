//! Creation, growth, removal and what brings a volume back.

use super::*;
use crate::{
    spec::{AttachPolicy, Bytes, Preempt, Sharing},
    volume::testing::{grow, grown, made, new_record, on_ebs, on_nfs, removed_record},
};

#[test]
fn a_volume_is_made_formatted_and_then_has_users_data() {
    let volume = Volume(new_record()).then(made());
    assert_eq!((&volume.0.phase, volume.0.contents), (&Phase::Ready, Contents::Blank));
    let volume = volume.then(Event::FormatBegun);
    assert_eq!(volume.0.contents, Contents::Formatting);
    assert_eq!(volume.then(Event::Formatted).0.contents, Contents::Formatted);
}

#[test]
fn a_volume_whose_storage_could_not_be_made_is_due_for_deletion_at_once() {
    let volume = Volume(new_record()).at(9, Event::CreationFailed);
    assert_eq!(volume.0.phase, Phase::Removed { at: at(9), purge: Purge::At(at(9)) });
}

#[test]
fn no_engine_event_turns_a_used_volume_into_one_that_may_be_deleted() {
    for event in [Event::FormatBegun, Event::CreationFailed, made()] {
        assert_eq!(Volume::free().then(event).0, used_record());
    }
}

#[test]
fn a_late_engine_event_does_not_bring_a_removed_volume_back() {
    let removed = removed_record(Purge::At(at(60)));
    for event in [made(), Event::CreationFailed] {
        assert_eq!(Volume(removed.clone()).at(5, event).0, removed);
    }
}

#[test]
fn a_grow_is_wanted_first_and_then_reached_and_then_the_file_system_follows() {
    let volume = Volume::free().then(grow(20));
    assert_eq!(volume.0.growing_to, Some(Bytes::gib(20)));
    assert_eq!((volume.0.spec.size, volume.0.wanted_size()), (Bytes::gib(10), Bytes::gib(20)));
    let volume = volume.then(grown(20));
    assert_eq!((volume.0.spec.size, volume.0.growing_to), (Bytes::gib(20), None));
    assert!(volume.0.file_system_behind);
    assert!(!volume.then(Event::FileSystemGrown).0.file_system_behind);
}

#[test]
fn a_volume_that_was_never_formatted_has_no_file_system_to_grow() {
    let volume = Volume(new_record()).then(grow(20));
    let volume = volume.then(grown(20));
    assert!(!volume.0.file_system_behind);
}

#[test]
fn a_larger_grow_that_came_meanwhile_is_not_forgotten() {
    let volume = Volume::free().then(grow(20)).then(grow(30));
    let volume = volume.then(grown(20));
    assert_eq!(volume.0.growing_to, Some(Bytes::gib(30)));
}

#[test]
fn to_grow_to_the_present_size_changes_nothing() {
    assert_eq!(Volume::free().then(grow(10)).0, used_record());
    let growing = Volume::free().then(grow(20));
    let before = growing.0.clone();
    assert_eq!(growing.then(grow(20)).0, before);
}

#[test]
fn a_volume_never_shrinks_not_even_below_a_grow_under_way() {
    let shrink =
        |present, asked| Refusal::Shrink { present: Bytes::gib(present), asked: Bytes::gib(asked) };
    assert_eq!(Volume::free().refuses(grow(9)), shrink(10, 9));
    assert_eq!(Volume::free().then(grow(20)).refuses(grow(15)), shrink(20, 15));
    assert_eq!(shrink(20, 15).to_string(), "it has 20GiB and cannot shrink to 15GiB");
}

#[test]
fn a_grow_that_failed_leaves_the_size_as_it_was() {
    assert_eq!(Volume::free().then(grow(20)).then(Event::GrowFailed).0, used_record());
}

#[test]
fn a_held_volume_is_neither_removed_nor_renamed_even_by_a_parked_holder() {
    let held = Volume::free().then(mount("0123456789abcdef"));
    let parked = Volume::free()
        .then(mount("0123456789abcdef"))
        .then(unmount("0123456789abcdef", Outside::Held));
    for (volume, who) in [
        (held, "mount 0123456789ab"),
        (parked, "mount 0123456789ab (released, but another mount namespace still has it)"),
    ] {
        assert_eq!(volume.refuses(remove()), Refusal::Held(who.into()));
        let rename = Event::Rename { to: "other".parse().unwrap() };
        assert_eq!(volume.refuses(rename), Refusal::Held(who.into()));
    }
}

#[test]
fn a_sticky_volume_is_removed_only_after_it_was_made_not_sticky() {
    let set = |sticky| Event::Set(Changes { sticky: Some(sticky), ..Changes::default() });
    let volume = Volume::free().then(set(Sticky::Yes));
    assert_eq!(volume.refuses(remove()), Refusal::Sticky);
    assert!(volume.then(set(Sticky::No)).then(remove()).0.is_removed());
}

#[test]
fn what_is_done_about_a_silent_node_is_set_at_any_time_and_stays() {
    let set = |preempt| Event::Set(Changes { preempt, ..Changes::default() });
    let volume = Volume::free().then(set(Some(Preempt::Force))).then(set(None));
    assert_eq!(volume.0.spec.preempt, Preempt::Force);
}

#[test]
fn what_becomes_of_the_data_is_the_specs_word_first_and_the_daemons_second() {
    let removed = |on_remove| {
        let changes = Changes { on_remove, ..Changes::default() };
        Volume::free().then(Event::Set(changes)).at(3, remove()).0.phase
    };
    let deleted = Phase::Removed { at: at(3), purge: Purge::At(at(3600)) };
    assert_eq!(removed(None), deleted);
    assert_eq!(removed(Some(OnRemove::Delete)), deleted);
    assert_eq!(removed(Some(OnRemove::Retain)), Phase::Removed { at: at(3), purge: Purge::Never });
}

#[test]
fn a_second_remove_succeeds_and_does_not_put_the_deletion_off() {
    let volume = Volume::free().then(remove());
    let before = volume.0.clone();
    assert_eq!(volume.at(1000, Event::Remove { purge: Purge::Never }).0, before);
}

#[test]
fn a_removed_volume_comes_back_under_the_name_that_is_asked_for() {
    for purge in [Purge::Never, Purge::At(at(60))] {
        let undelete = Event::Undelete { name: "back".parse().unwrap() };
        let volume = Volume(removed_record(purge)).at(59, undelete);
        let expected = Record { name: "back".parse().unwrap(), ..used_record() };
        assert_eq!(volume.0, expected);
    }
}

/// Its storage may be gone already, or be on its way: `Ready` would be a lie.
#[test]
fn a_volume_whose_deletion_is_due_does_not_come_back() {
    let undelete = || Event::Undelete { name: "back".parse().unwrap() };
    let due = Volume(removed_record(Purge::At(at(60))));
    assert_eq!(apply(&due.0, undelete(), at(60)), Err(Refusal::Purged));
    let purged = Volume(removed_record(Purge::Never)).then(Event::Purge);
    assert_eq!(purged.refuses(undelete()), Refusal::Purged);
}

#[test]
fn a_retained_volume_is_deleted_when_somebody_purges_it() {
    let volume = Volume(removed_record(Purge::Never)).at(70, Event::Purge);
    assert_eq!(volume.0.phase, Phase::Removed { at: START, purge: Purge::At(at(70)) });
}

#[test]
fn a_set_changes_what_it_says_and_nothing_else() {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let changes = Changes {
        mount_options: Some(vec!["noatime".into()]),
        labels: labels(&[("team", "web"), ("tier", "1")]),
        ..Changes::default()
    };
    let volume = Volume::free().then(Event::Set(changes));
    let more = Changes { labels: labels(&[("tier", "2")]), ..Changes::default() };
    let volume = volume.then(Event::Set(more));

    let mut expected = used_record();
    expected.spec.mount_options = vec!["noatime".into()];
    expected.spec.labels = labels(&[("team", "web"), ("tier", "2")]);
    assert_eq!(volume.0, expected);
}

/// What was let in under the claim before has an old one, also where it has the same name.
#[test]
fn each_writer_claim_has_a_new_epoch_and_a_use_beside_others_has_none() {
    let joined = |record: &Record| {
        let volume = Volume(record.clone()).then(Event::Joined { node: "b".parse().unwrap() });
        let again = apply(&volume.0, Event::Joined { node: "b".parse().unwrap() }, START).unwrap();
        assert_eq!(again, volume.0, "it has it already");
        volume.0.lease.epoch
    };
    let record = on_ebs(used_record(), AttachPolicy::Stay);
    assert_eq!(joined(&record), record.lease.epoch.next());
    let mut shared = record;
    shared.spec.sharing = Sharing::Shared;
    for record in [shared, on_nfs(used_record())] {
        assert_eq!(joined(&record), record.lease.epoch);
    }
}
