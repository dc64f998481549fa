//! Who holds a volume, when callers are killed, hang up, or never had an id.

use super::*;
use crate::volume::CallerEpoch;

#[test]
fn docker_cp_mounts_the_running_containers_id_again_and_its_unmount_leaves_it_held() {
    Volume::free()
        .then(mount("web"))
        .then(mount("web"))
        .holds(&[("web", 2)])
        .then(unmount("web", Outside::Held))
        .holds(&[("web", 1)])
        .then(unmount("web", Outside::Free))
        .holds(&[]);
}

#[test]
fn unmount_by_one_of_two_users_keeps_the_mount() {
    Volume::free()
        .then(mount("web"))
        .then(mount("backup"))
        .then(unmount("web", Outside::Held))
        .holds(&[("backup", 1)])
        .then(unmount("backup", Outside::Free))
        .holds(&[]);
}

#[test]
fn a_new_dockerd_readopts_an_inherited_id_with_one_reference_and_one_unmount_frees_it() {
    let volume = Volume::free().then(mount("web")).then(mount("web")).holds(&[("web", 2)]);
    let volume = volume.at(60, mount_by_new_dockerd("web")).holds(&[("web", 1)]);
    let holder = volume.0.holder(&id("web")).unwrap();
    assert_eq!((&holder.epoch, holder.since), (&dockerd(2), at(60)));

    volume.then(unmount("web", Outside::Free)).holds(&[]);
}

#[test]
fn a_live_restored_containers_inherited_references_go_with_the_one_unmount_that_comes() {
    Volume::free()
        .then(mount("web"))
        .then(mount("web"))
        .then(unmount_by_new_dockerd("web", Outside::Free))
        .holds(&[]);
}

#[test]
fn docker_cp_into_a_live_restored_container_does_not_take_its_volume_away() {
    let parked = Volume::free()
        .then(mount("web"))
        .then(mount_by_new_dockerd("web"))
        .at(5, unmount("web", Outside::Held))
        .holds(&[("web", 0)]);
    assert_eq!(parked.0.holder(&id("web")).unwrap().parked_since, Some(at(5)));

    let still = parked.at(60, sweep(&[], Outside::Held, 60)).holds(&[("web", 0)]);
    assert_eq!(still.0.holder(&id("web")).unwrap().parked_since, Some(at(5)));
    still.at(90, sweep(&[], Outside::Free, 90)).holds(&[]);
}

#[test]
fn a_parked_holder_goes_with_the_unmount_that_its_container_sends_at_its_end() {
    Volume::free()
        .then(mount("web"))
        .then(unmount("web", Outside::Held))
        .then(unmount("web", Outside::Free))
        .holds(&[]);
}

#[test]
fn a_parked_holder_that_mounts_again_is_an_ordinary_one() {
    let volume =
        Volume::free().then(mount("web")).then(unmount("web", Outside::Held)).then(mount("web"));
    let holder = volume.0.holder(&id("web")).unwrap();
    assert_eq!((holder.count, holder.parked_since), (1, None));
}

#[test]
fn one_parked_holder_is_enough_and_none_is_needed_while_others_hold() {
    let two = Volume::free().then(mount("web")).then(mount("backup"));
    let one = two.then(unmount("web", Outside::Held)).holds(&[("backup", 1)]);
    let parked = one.then(unmount("backup", Outside::Held)).holds(&[("backup", 0)]);
    let both = parked.then(mount("new")).then(unmount("new", Outside::Held));
    assert_eq!(both.counts().len(), 1, "{:?}", both.counts());
}

#[test]
fn callers_without_an_id_are_one_holder_with_many_mounts_and_one_unmount() {
    Volume::free()
        .then(mount(""))
        .then(mount(""))
        .then(mount(""))
        .holds(&[("(no id)", 1)])
        .then(unmount("", Outside::Free))
        .holds(&[]);
}

#[test]
fn an_unmount_by_somebody_unknown_succeeds_and_changes_nothing() {
    let volume = Volume::free().then(mount("web"));
    let before = volume.0.clone();
    let volume = volume.then(unmount("other", Outside::Free));
    assert_eq!(volume.0, before);
    assert_eq!(Volume::free().then(unmount("", Outside::Held)).0, used_record());
}

#[test]
fn an_abandoned_mount_drops_the_reference_that_it_added() {
    let before = Volume::free().then(mount("web"));
    let after = Volume(before.0.clone()).then(mount("web"));
    assert!(added_reference(&before.0, &after.0, &id("web")));

    after.then(abandon("web", Outside::Held)).holds(&[("web", 1)]);
}

#[test]
fn a_repeated_mount_without_an_id_adds_no_reference_that_could_be_abandoned() {
    let before = Volume::free().then(mount(""));
    let next_dvdcli = Event::Mount { id: id(""), epoch: dockerd(2), inherited: Inherited::Yes };
    let after = Volume(before.0.clone()).then(next_dvdcli);
    assert!(!added_reference(&before.0, &after.0, &id("")));
    assert!(added_reference(&used_record(), &before.0, &id("")));
}

/// The old count was worth nothing; kept, the new dockerd's next Mount would make it two, and
/// only one Unmount would ever come.
#[test]
fn an_abandoned_readoption_leaves_no_reference_that_nobody_will_drop() {
    let before = Volume::free().then(mount("web"));
    let after = Volume(before.0.clone()).then(mount_by_new_dockerd("web"));
    assert!(added_reference(&before.0, &after.0, &id("web")));

    let free =
        Volume(after.0.clone()).then(abandon_by_new_dockerd("web", Outside::Free)).holds(&[]);
    drop(free);
    // A live-restored container is seen in its own namespace and stays.
    after.then(abandon_by_new_dockerd("web", Outside::Held)).holds(&[("web", 0)]);
}

#[test]
fn orphans_are_collected_only_after_their_time() {
    let volume = Volume::free().then(mount("web")).then(mount("web"));
    let volume = volume.at(0, sweep(&["web"], Outside::Free, 0)).holds(&[("web", 2)]);
    let volume = volume.at(599, sweep(&["web"], Outside::Free, 599)).holds(&[("web", 2)]);
    assert_eq!(volume.0.holder(&id("web")).unwrap().orphaned_since, Some(START));
    // Where a removal is refused for it, docker ps shows nobody.
    assert!(volume.0.holder(&id("web")).unwrap().to_string().contains("no container has any more"));

    volume.at(600, sweep(&["web"], Outside::Free, 600)).holds(&[]);
}

#[test]
fn no_orphan_is_collected_while_another_namespace_has_the_file_system() {
    let volume = Volume::free().then(mount("web")).at(0, sweep(&["web"], Outside::Free, 0));
    let volume = volume.at(700, sweep(&["web"], Outside::Held, 700)).holds(&[("web", 1)]);
    // The time counts anew from when it was last free.
    let volume = volume.at(710, sweep(&["web"], Outside::Free, 710)).holds(&[("web", 1)]);
    volume.at(1310, sweep(&["web"], Outside::Free, 1310)).holds(&[]);
}

#[test]
fn an_orphan_that_was_parked_since_stays_while_another_namespace_has_the_file_system() {
    Volume::free()
        .then(mount("web"))
        .at(0, sweep(&["web"], Outside::Free, 0))
        .at(10, unmount_by_new_dockerd("web", Outside::Held))
        .holds(&[("web", 0)])
        .at(700, sweep(&["web"], Outside::Held, 700))
        .holds(&[("web", 0)]);
}

#[test]
fn a_holder_whose_caller_lives_is_no_orphan() {
    let volume = Volume::free().then(mount("web")).at(0, sweep(&["web"], Outside::Free, 0));
    let volume = volume.at(900, sweep(&[], Outside::Free, 900)).holds(&[("web", 1)]);
    assert_eq!(volume.0.holder(&id("web")).unwrap().orphaned_since, None);
}

#[test]
fn an_orphan_that_is_mounted_again_is_none_any_more() {
    let volume = Volume::free().then(mount("web")).at(0, sweep(&["web"], Outside::Free, 0));
    let volume = volume.at(10, mount_by_new_dockerd("web"));
    assert_eq!(volume.0.holder(&id("web")).unwrap().orphaned_since, None);
    volume.at(700, sweep(&[], Outside::Free, 700)).holds(&[("web", 1)]);
}

#[test]
fn no_holder_outlives_a_reboot() {
    let other = CallerEpoch { boot_id: "boot-2".into(), pid: 1, start_time: 7 };
    let later = Event::Mount { id: id("new"), epoch: other, inherited: Inherited::No };
    let volume = Volume::free().then(mount("web")).then(later).holds(&[("web", 1), ("new", 1)]);
    volume.then(Event::Booted { boot_id: "boot-2".into() }).holds(&[("new", 1)]);
}
