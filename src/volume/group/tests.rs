use super::*;
use crate::{
    spec::{LocalSpec, Provision, Spec},
    volume::{
        Contents, Epoch, Lease, Owner,
        testing::{at, spec, used_record},
    },
};

fn scale(count: u16) -> Scale {
    Scale::try_from(count).unwrap()
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn group(count: u16) -> Record {
    let name = "elk".parse().unwrap();
    Record::new(VolumeId::random(), name, Spec { scale: Some(scale(count)), ..spec() }, at(0))
}

/// A member of that number, as it is seen.
fn seen(number: u16, usage: Use, place: Place, last: Option<i64>) -> Member {
    Member {
        id: VolumeId::random(),
        name: format!("elk_{number:03}").parse().unwrap(),
        number,
        claim: None,
        last: last.map(at),
        usage,
        place,
    }
}

fn taken() -> Use {
    Use::Taken("mount x".to_owned())
}

fn away() -> Place {
    Place::OutOfReach("on another node's disk".to_owned())
}

#[track_caller]
fn check(count: u16, members: &[Member], wanted: Option<usize>) {
    let choice = choose(members, scale(count), &|_| false, &[]);
    let wanted = match wanted {
        Some(index) => Choice::Take { member: members[index].id, claim: None },
        None => Choice::None,
    };
    assert_eq!(choice, wanted, "{members:#?}");
}

#[test]
fn a_task_keeps_what_it_has_before_all_else() {
    let members = [
        seen(1, Use::Free, Place::Here, Some(9)),
        seen(2, Use::Lapsed, Place::Near, None),
        seen(3, Use::Own, Place::Far, None),
    ];
    check(3, &members, Some(2));
    // Also when the group was made smaller since.
    check(1, &members, Some(2));
}

#[test]
fn what_is_here_is_taken_before_what_is_elsewhere_and_the_last_used_first() {
    let members = [
        seen(1, Use::Free, Place::Near, Some(99)),
        seen(2, Use::Free, Place::Here, None),
        seen(3, Use::Free, Place::Here, Some(10)),
        seen(4, Use::Free, Place::Here, Some(20)),
        seen(5, taken(), Place::Here, Some(30)),
    ];
    check(5, &members, Some(3));
    check(5, &members[..3], Some(2));
    check(2, &members[..2], Some(1));
}

#[test]
fn elsewhere_the_same_zone_comes_first_and_there_what_a_dead_node_had() {
    let members = [
        seen(1, Use::Lapsed, Place::Far, Some(50)),
        seen(2, Use::Free, Place::Near, Some(40)),
        seen(3, Use::Lapsed, Place::Near, None),
        seen(4, Use::Free, away(), Some(60)),
    ];
    check(4, &members, Some(2));
    check(4, &members[..2], Some(1));
    check(1, &members[..1], Some(0));
    check(1, &members[3..], None);
}

#[test]
fn a_new_one_is_made_only_when_none_is_to_be_had_and_up_to_the_limit() {
    let members = [seen(1, taken(), Place::Here, None), seen(3, Use::Free, away(), None)];
    assert_eq!(choose(&[], scale(1), &|_| false, &[]), Choice::Make(1));
    assert_eq!(choose(&members, scale(3), &|_| false, &[]), Choice::Make(2), "the gap first");
    assert_eq!(choose(&members, scale(3), &|n| n == 2, &[]), Choice::Make(4), "a foreign name");
    check(2, &members, None);
}

#[test]
fn a_smaller_group_keeps_its_highest_members_for_who_has_them() {
    let members = [
        seen(1, taken(), Place::Here, None),
        seen(2, taken(), Place::Here, None),
        seen(3, Use::Free, Place::Here, Some(1)),
    ];
    check(3, &members, Some(2));
    check(2, &members, None);
    // One was removed by its own name: the third is the second now.
    let left = [members[0].clone(), members[2].clone()];
    check(2, &left, Some(1));
}

#[test]
fn what_was_tried_in_vain_is_not_chosen_again() {
    let members = [seen(1, Use::Own, Place::Here, None), seen(2, Use::Free, Place::Here, None)];
    let tried = [members[0].id];
    let choice = choose(&members, scale(2), &|_| false, &tried);
    assert_eq!(choice, Choice::Take { member: members[1].id, claim: None });
    let tried = [members[0].id, members[1].id];
    assert_eq!(choose(&members, scale(2), &|_| false, &tried), Choice::None);
    assert_eq!(choose(&members, scale(3), &|_| false, &tried), Choice::Make(3));
}

/// The record of member 2, with that claim.
fn member(group: &Record, claim: Option<Claim>) -> Record {
    let membership = Membership { claim, ..Membership::new(group, 2) };
    let name = "elk_002".parse().unwrap();
    Record { name, member: Some(membership), contents: Contents::Formatted, ..used_record() }
}

fn claim(of: &str, id: &str) -> Claim {
    Claim { node: Some(node(of)), id: MountId::from(id.to_owned()) }
}

#[test]
fn a_claim_counts_as_long_as_its_node_lives_or_has_the_only_disk() {
    let (group, me, id) = (group(3), node("a"), MountId::from("task".to_owned()));
    let lives = |other: &NodeName| other.as_str() == "b";
    let asker = Asker { node: Some(&me), id: &id, lives: &lives };
    let cloud = |claim| {
        let record = member(&group, claim);
        crate::volume::testing::on_ebs(record, crate::spec::AttachPolicy::Stay)
    };
    let usage = |record: &Record| asker.usage(record, record.member_of(&group).unwrap());

    assert_eq!(usage(&cloud(None)), Use::Free);
    assert_eq!(usage(&cloud(Some(claim("a", "task")))), Use::Own);
    let other = "mount other on node a".to_owned();
    assert_eq!(usage(&cloud(Some(claim("a", "other")))), Use::Taken(other), "of this node itself");
    assert_eq!(usage(&cloud(Some(claim("b", "task")))), Use::Taken("mount task on node b".into()));
    assert_eq!(usage(&cloud(Some(claim("dead", "task")))), Use::Lapsed);
    let local = member(&group, Some(claim("dead", "task")));
    assert_eq!(
        local.spec.backend,
        crate::spec::BackendSpec::Local(LocalSpec { provision: Provision::Thick })
    );
    assert!(matches!(usage(&local), Use::Taken(_)), "nobody else could have its data");
    let users = |nodes: &[&str]| Record {
        users: nodes.iter().map(|name| node(name)).collect(),
        ..cloud(None)
    };
    assert!(matches!(usage(&users(&["b"])), Use::Taken(_)), "mounted there by its own name");
    assert_eq!(usage(&users(&["a", "dead"])), Use::Free);
    // A store that was restored may have lost the claim: the task has it all the same.
    let dockerd = crate::volume::testing::dockerd(1);
    let holder = crate::volume::Holder::new(id.clone(), dockerd, at(0));
    assert_eq!(usage(&Record { holders: vec![holder], ..cloud(None) }), Use::Own);
}

#[test]
fn a_member_is_one_by_its_label_and_its_exact_name() {
    let group = group(3);
    let it = member(&group, None);
    assert!(it.member_of(&group).is_some());
    let stranger = Record { member: None, ..it.clone() };
    let renamed = Record { name: "elk_003".parse().unwrap(), ..it.clone() };
    let namesakes = Record { id: VolumeId::random(), ..group.clone() };
    assert!(stranger.member_of(&group).is_none(), "it is only called like one");
    assert!(renamed.member_of(&group).is_none(), "its number is another one's name");
    assert!(it.member_of(&namesakes).is_none(), "of a group that had the name before");
}

#[test]
fn what_another_node_is_making_is_left_to_it() {
    let me = node("a");
    let owner = Owner { node: node("b"), machine: None };
    let lease = Lease { epoch: Epoch::FIRST.next(), owner: Some(owner), from: None };
    let making = Record { phase: Phase::Creating, lease, ..member(&group(1), None) };
    assert_eq!(is_being_made_elsewhere(&making, Some(&me)), Some(node("b")));
    assert_eq!(is_being_made_elsewhere(&making, Some(&node("b"))), None);
    let made = Record { phase: Phase::Ready, ..making };
    assert_eq!(is_being_made_elsewhere(&made, Some(&me)), None);
}

#[test]
fn a_takeover_that_fails_gives_the_claim_back_to_the_node_that_has_the_volume() {
    let owner = |name: &str| Some(Owner { node: node(name), machine: None });
    let lease = |name| Lease { epoch: Epoch::FIRST.next(), owner: owner(name), from: None };
    let had = claim("silent", "task");
    let record = member(&group(3), Some(had.clone()));
    let taken = record.member.as_ref().map(|member| member.claimed(claim("b", "new")));
    let after = |lease| Record { member: taken.clone(), lease, ..record.clone() }.unclaimed(at(9));

    let failed = after(lease("silent")).unwrap();
    assert_eq!((failed.claim, failed.before), (Some(had), None));
    let succeeded = after(lease("b")).unwrap();
    assert_eq!((succeeded.claim, succeeded.before), (None, None));
    assert_eq!(succeeded.last, Some(LastUse { node: Some(node("b")), at: at(9) }));
}

/// Records are read by the next version, too.
#[test]
fn the_stored_form_of_a_membership_does_not_change() {
    let stored = r#"{"group":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","name":"elk","number":2,"claim":{"node":"a","id":"f00"},"last":{"node":"b","at":"2026-01-01T00:00:00Z"}}"#;
    let read: Membership = serde_json::from_str(stored).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), stored);
    let alone = r#"{"group":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","name":"elk","number":2,"claim":{"id":""}}"#;
    let read: Membership = serde_json::from_str(alone).unwrap();
    assert_eq!(read.claim, Some(Claim { node: None, id: MountId::from(String::new()) }));
    assert_eq!(serde_json::to_string(&read).unwrap(), alone);
}
