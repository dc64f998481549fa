//! The plan of groups and of their members.

use super::*;
use crate::{
    spec::{Scale, Spec},
    volume::{Claim, Holder, Membership, MountId, VolumeId, testing::dockerd},
};

fn step(record: &Record, seen: Option<&Observed>, want: Want) -> Step {
    next(record, seen, want, Ext4OnlineGrow::Possible, START)
}

fn group(phase: Phase) -> Record {
    let spec = Spec { scale: Scale::try_from(3).ok(), ..used_record().spec };
    Record { spec, phase, ..used_record() }
}

/// A member that this node, which is in no cluster, has claimed for a task.
fn claimed() -> Record {
    let claim = Claim { node: None, id: MountId::from("task".to_owned()) };
    let (group, name) = (VolumeId::random(), "elk".parse().unwrap());
    let member =
        Membership { group, name, number: 1, claim: Some(claim), before: None, last: None };
    Record { member: Some(member), ..used_record() }
}

#[test]
fn there_is_nothing_of_a_group_but_its_record() {
    for want in [Want::Mounted, Want::Released, Want::Detached, Want::Owned] {
        assert_eq!(step(&group(Phase::Ready), None, want), Step::Idle);
    }
    let removed = |purge| step(&group(Phase::Removed { at: START, purge }), None, Want::Released);
    assert_eq!(removed(Purge::At(at(60))), Step::Wait(at(60)));
    assert_eq!(removed(Purge::At(START)), Step::Forget);
    assert_eq!(removed(Purge::Never), Step::Idle);
}

#[test]
fn a_claim_without_a_holder_is_given_up_when_it_is_known_that_nothing_is_here() {
    let idle = claimed();
    let plan = |record: &Record, seen: Option<&Observed>| step(record, seen, Want::Released);
    assert_eq!(plan(&idle, None), Step::Do(Effect::Observe), "first a look");
    assert_eq!(plan(&idle, Some(&staged())), Step::Do(Effect::Unstage), "then what is left of it");
    assert_eq!(plan(&idle, Some(&provisioned())), Step::Record(Event::Unclaimed { node: None }));

    let holder = Holder::new(MountId::from("task".to_owned()), dockerd(1), START);
    let held = Record { holders: vec![holder], ..idle };
    assert_eq!(step(&held, Some(&mounted()), Want::Mounted), Step::Idle);
}
