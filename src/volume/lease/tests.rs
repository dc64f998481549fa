use super::*;

fn owner(node: &str) -> Owner {
    Owner { node: node.parse().unwrap(), machine: Some(format!("i-{node}")) }
}

fn of(node: &str) -> Lease {
    Lease { epoch: 7.into(), owner: Some(owner(node)), from: None }
}

fn asked(session: Session, answer: Answer, machine: Machine) -> Facts {
    Facts { session, answer, machine }
}

fn decided(preempt: Preempt, mobility: Mobility, facts: &Facts) -> Decision {
    decide(&of("a"), &owner("b"), StoreReach::Answers, mobility, preempt, facts)
}

#[test]
fn a_free_volume_is_claimed_with_the_next_epoch_and_nobody_to_fence() {
    let free = of("a").released();
    let facts = Facts::of(Session::Over);

    let decision =
        decide(&free, &owner("b"), StoreReach::Answers, Mobility::Fenced, Preempt::Never, &facts);

    let claimed = Lease { epoch: 8.into(), owner: Some(owner("b")), from: None };
    assert_eq!(decision, Decision::Claim(claimed));
}

#[test]
fn a_living_owner_is_asked_and_believed() {
    let decide = |answer| {
        decided(Preempt::Force, Mobility::Fenced, &asked(Session::Lives, answer, Machine::NotAsked))
    };
    assert_eq!(decide(Answer::NotAsked), Decision::AskOwner);
    assert_eq!(decide(Answer::Released), Decision::LookAgain);
    let held = Obstacle::Held { node: "a".parse().unwrap(), holders: "mount 1".into() };
    assert_eq!(decide(Answer::Held("mount 1".into())), Decision::Refuse(held));
    assert!(matches!(decide(Answer::Busy("full".into())), Decision::Wait(Obstacle::Busy { .. })));
    assert!(matches!(decide(Answer::Silent), Decision::Wait(Obstacle::NotYet(_))));
}

#[test]
fn a_silent_owner_is_replaced_only_when_its_machine_is_gone() {
    let decide = |preempt, machine| {
        decided(preempt, Mobility::Fenced, &asked(Session::Over, Answer::Silent, machine))
    };
    let claimed = Lease { epoch: 8.into(), owner: Some(owner("b")), from: Some(owner("a")) };
    for preempt in [Preempt::Never, Preempt::DeadOnly, Preempt::Force] {
        assert_eq!(decide(preempt, Machine::NotAsked), Decision::AskCloud);
    }
    assert_eq!(decide(Preempt::DeadOnly, Machine::Gone), Decision::Claim(claimed.clone()));
    let node = || "a".parse().unwrap();
    assert_eq!(decide(Preempt::DeadOnly, Machine::Runs), Decision::Wait(Obstacle::Silent(node())));
    assert_eq!(
        decide(Preempt::DeadOnly, Machine::Unknown),
        Decision::Wait(Obstacle::Unknown(node()))
    );
    for machine in [Machine::Gone, Machine::Runs, Machine::Unknown] {
        assert_eq!(decide(Preempt::Never, machine), Decision::Refuse(Obstacle::Forbidden(node())));
        assert_eq!(decide(Preempt::Force, machine), Decision::Claim(claimed.clone()));
    }
}

#[test]
fn an_owner_that_answers_without_the_store_keeps_its_volume() {
    for answer in [Answer::Held("x".into()), Answer::Busy("x".into())] {
        let facts = asked(Session::Over, answer, Machine::Gone);
        let decision = decided(Preempt::Force, Mobility::Fenced, &facts);
        assert_eq!(decision, Decision::Refuse(Obstacle::CutOff("a".parse().unwrap())));
    }
}

#[test]
fn local_volumes_are_never_taken_over() {
    for (session, away) in [(Session::Lives, false), (Session::Over, true)] {
        let facts = asked(session, Answer::Silent, Machine::Gone);
        let decision = decided(Preempt::Force, Mobility::Fixed, &facts);
        let node = "a".parse().unwrap();
        let why = if away { Obstacle::FixedAway(node) } else { Obstacle::Fixed(node) };
        assert_eq!(decision, Decision::Refuse(why));
    }
}

#[test]
fn what_cannot_be_fenced_is_handed_over_and_never_taken() {
    let facts = asked(Session::Over, Answer::Silent, Machine::Gone);
    let decision = decided(Preempt::Force, Mobility::Handed, &facts);
    assert_eq!(decision, Decision::Refuse(Obstacle::NoFence("a".parse().unwrap())));
}

#[test]
fn without_the_store_only_the_own_volumes_are_had() {
    let facts = Facts::of(Session::Over);
    let decide = |lease: &Lease| {
        decide(lease, &owner("b"), StoreReach::Away, Mobility::Fenced, Preempt::Force, &facts)
    };
    assert_eq!(decide(&of("b")), Decision::Mine);
    for lease in [of("a"), of("a").released()] {
        assert_eq!(decide(&lease), Decision::Refuse(Obstacle::StoreAway));
    }
}

#[test]
fn whom_a_dead_claimer_had_not_fenced_is_fenced_by_the_next_one() {
    let half_way = of("a").claimed_by(owner("b"));
    let next = half_way.claimed_by(owner("c"));
    assert_eq!(next, Lease { epoch: 9.into(), owner: Some(owner("c")), from: Some(owner("a")) });
    // The one that was to be fenced is back, and takes its own volume again.
    let back = half_way.claimed_by(owner("a"));
    assert_eq!(back, Lease { epoch: 9.into(), owner: Some(owner("a")), from: None });
}

/// A cloud gives a host's name to the next machine.
#[test]
fn a_machine_that_came_up_under_the_owners_name_is_not_the_owner() {
    let me = Owner { node: "a".parse().unwrap(), machine: Some("i-next".into()) };
    let decide = |mobility, preempt, machine| {
        let facts = asked(Session::Lives, Answer::NotAsked, machine);
        decide(&of("a"), &me, StoreReach::Answers, mobility, preempt, &facts)
    };
    let claimed = Lease { epoch: 8.into(), owner: Some(me.clone()), from: Some(owner("a")) };
    let wait = Decision::Wait(Obstacle::Namesake(owner("a")));
    for mobility in [Mobility::Fenced, Mobility::Handed] {
        let decide = |machine| decide(mobility, Preempt::DeadOnly, machine);
        assert_eq!(decide(Machine::NotAsked), Decision::AskCloud);
        assert_eq!(decide(Machine::Runs), wait);
        assert_eq!(decide(Machine::Unknown), wait);
    }
    let gone = |mobility, preempt| decide(mobility, preempt, Machine::Gone);
    assert_eq!(gone(Mobility::Fenced, Preempt::DeadOnly), Decision::Claim(claimed.clone()));
    assert_eq!(gone(Mobility::Handed, Preempt::DeadOnly), Decision::Claim(claimed.fenced()));
    assert!(matches!(gone(Mobility::Fenced, Preempt::Never), Decision::Refuse(_)));
    // A disk that went to another machine took its volumes along.
    assert_eq!(gone(Mobility::Fixed, Preempt::DeadOnly), Decision::Mine);
}

#[test]
fn outside_a_cloud_the_name_is_the_owner() {
    let nowhere = Owner { machine: None, ..owner("a") };
    let facts = Facts::of(Session::Lives);
    let decision = decide(
        &of("a"),
        &nowhere,
        StoreReach::Answers,
        Mobility::Handed,
        Preempt::DeadOnly,
        &facts,
    );
    assert_eq!(decision, Decision::Mine);
    assert_eq!(of("a").claimed_by(nowhere).from, None);
}

/// Otherwise nobody could ask the cloud about it any more, or fence it.
#[test]
fn a_daemon_that_does_not_know_its_machine_keeps_what_the_lease_says_of_it() {
    let nameless = Owner { machine: None, ..owner("a") };
    let owner_of = |lease: &Lease, me: &Owner, storage| {
        let anew = lease.claimed_anew_by(me.clone(), storage);
        assert_eq!((anew.epoch, anew.from), (lease.epoch.next(), None));
        anew.owner.unwrap()
    };
    assert_eq!(owner_of(&of("a"), &nameless, Storage::Here), owner("a"));
    // Another machine may have the name by now, and be about to attach it.
    assert_eq!(owner_of(&of("a"), &nameless, Storage::Elsewhere), nameless);
    let unnamed = Lease { owner: Some(nameless.clone()), ..of("a") };
    assert_eq!(owner_of(&unnamed, &nameless, Storage::Here), nameless);
    assert_eq!(owner_of(&unnamed, &owner("a"), Storage::Here), owner("a"), "it knows again");
}
