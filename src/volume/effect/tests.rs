//! What is known after each step.

use super::*;
use crate::volume::{Transit, testing};

fn device() -> Device {
    Device { path: "/dev/loop7".into(), number: (7, 7) }
}

/// Everything is there.
fn everything() -> Observed {
    Observed {
        aside: false,
        provisioned: true,
        device: Some(device()),
        transit: Some(Transit::Attaching),
        content: Some(DeviceContent::Blank),
        destroyed: false,
        half_made: true,
        staged: true,
        shut_down: false,
        published: true,
        exported: Some(Epoch::FIRST),
        remote: reached(),
        grow_at_next_mount: true,
    }
}

fn reached() -> Remote {
    Remote { connected: Some(Epoch::FIRST), mounted: true, published: true }
}

#[test]
fn each_step_makes_its_own_part_known_and_nothing_else() {
    let nothing = Observed::default;
    let to = Bytes::gib(20);
    let backend = testing::spec().backend;
    let made = Outcome::Provisioned { handle: None, backend: backend.clone() };
    let grown = Outcome::Grown { to, backend };
    let done = || Outcome::Done;
    for (effect, outcome, seen, event) in [
        (
            Effect::Provision,
            made,
            Observed { provisioned: true, ..nothing() },
            Some(testing::made()),
        ),
        (Effect::Format, done(), Observed { staged: true, ..nothing() }, Some(Event::Formatted)),
        (Effect::GrowStorage { to }, grown, nothing(), Some(testing::grown(20))),
        (Effect::GrowOffline, done(), nothing(), Some(Event::FileSystemGrown)),
        (Effect::Stage, done(), Observed { staged: true, ..nothing() }, None),
        (Effect::GrowOnline, done(), nothing(), Some(Event::FileSystemGrown)),
        (Effect::Publish, done(), Observed { published: true, ..nothing() }, None),
        (
            Effect::Export,
            Outcome::Exported(7.into()),
            Observed { exported: Some(7.into()), ..nothing() },
            None,
        ),
        (Effect::Connect, Outcome::Connected(7.into()), with(Some(7.into()), false), None),
        (Effect::Reach, done(), with(None, true), None),
    ] {
        assert_eq!(absorb(nothing(), effect, outcome), (seen, event), "{effect:?}");
    }
}

fn with(connected: Option<Epoch>, mounted: bool) -> Observed {
    Observed { remote: Remote { connected, mounted, published: false }, ..Observed::default() }
}

#[test]
fn what_is_published_of_another_nodes_volume_is_what_is_reached() {
    let (seen, event) = absorb(with(None, true), Effect::Publish, Outcome::Done);
    assert!(seen.remote.published && !seen.published && seen.is_mounted());
    assert_eq!(event, None);
}

#[test]
fn each_undoing_step_takes_its_own_part_away_and_nothing_else() {
    let to = Bytes::gib(20);
    for (effect, seen) in [
        (
            Effect::Unpublish,
            Observed {
                published: false,
                remote: Remote { published: false, ..reached() },
                ..everything()
            },
        ),
        (Effect::Unexport, Observed { exported: None, ..everything() }),
        (Effect::Unreach, Observed { remote: Remote::default(), ..everything() }),
        (Effect::Unstage, Observed { staged: false, grow_at_next_mount: false, ..everything() }),
        // What was probed was this attachment's device.
        (Effect::Detach, Observed { device: None, transit: None, content: None, ..everything() }),
        (
            Effect::Destroy,
            Observed { provisioned: false, destroyed: true, half_made: false, ..everything() },
        ),
        (Effect::GrowStorage { to }, Observed { grow_at_next_mount: false, ..everything() }),
    ] {
        assert_eq!(absorb(everything(), effect, Outcome::Done).0, seen, "{effect:?}");
    }
}

#[test]
fn what_a_step_found_is_known_after_it() {
    let found = absorb(Observed::default(), Effect::Attach, Outcome::Attached(device())).0;
    assert_eq!(found.device, Some(device()));
    let found = absorb(found, Effect::Probe, Outcome::Probed(DeviceContent::Something)).0;
    assert_eq!(found.content, Some(DeviceContent::Something));
    let looked = Outcome::Observed(everything());
    assert_eq!(absorb(found, Effect::Observe, looked), (everything(), None));
}

#[test]
fn a_deferred_growth_is_not_recorded_as_done() {
    let (seen, event) = absorb(Observed::default(), Effect::GrowOnline, Outcome::Deferred);
    assert_eq!((seen.grow_at_next_mount, event), (true, None));
}
