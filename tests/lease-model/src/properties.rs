//! What must be true of every state, and what must be reached in one.

use stateright::Property;

use crate::{
    Protocol,
    world::{Seen, World, Wrong},
};

/// A new owner that has it mounted, and how it came to it.
fn mounted_after(world: &World, seen: Seen) -> bool {
    let owner = world.record.held.owner.map(usize::from);
    world.seen == Some(seen)
        && owner.is_some_and(|owner| {
            world.nodes[owner].mounted == Some(world.record.held.epoch) && world.can_write(owner)
        })
}

/// Those that hold whatever the circumstances, and those that the circumstances allow for.
pub(crate) fn all(protocol: &Protocol) -> Vec<Property<Protocol>> {
    let mut properties = safety();
    properties.extend(progress(protocol));
    properties
}

fn safety() -> Vec<Property<Protocol>> {
    vec![
        Property::always("one machine at most can write", |_, world: &World| {
            (0..world.nodes.len()).filter(|node| world.can_write(*node)).count() <= 1
        }),
        Property::always(
            "who can write is the record's owner, or is to be fenced",
            |_, world: &World| {
                let held = world.record.held;
                (0..world.nodes.len()).filter(|node| world.can_write(*node)).all(|node| {
                    held.from.map_or(held.is_of(node), |from| usize::from(from) == node)
                })
            },
        ),
        Property::always(
            "what is free is attached to nobody that was sure of it",
            |_, world: &World| {
                let attached = world.attached.map(usize::from);
                world.record.held.owner.is_some()
                    || attached.is_none_or(|node| !world.nodes[node].sure)
            },
        ),
        Property::always("no write lands after one of a newer owner", |_, world: &World| {
            world.wrong != Some(Wrong::StaleWrite)
        }),
        Property::always("what was acknowledged is on the disk", |_, world: &World| {
            world.written >= world.acknowledged
        }),
        Property::always("epochs grow, by one for each owner", |_, world: &World| {
            world.wrong != Some(Wrong::Epoch)
        }),
        Property::always(
            "no volume is claimed from a machine that uses it, but by force",
            |_, world: &World| world.wrong != Some(Wrong::TakenFromRunning),
        ),
        Property::always(
            "no machine that uses a volume is cut off, but by force",
            |_, world: &World| world.wrong != Some(Wrong::CutOff),
        ),
        Property::always("what nobody may take is not taken", |_, world: &World| {
            world.wrong != Some(Wrong::TakenForbidden)
        }),
        Property::always("without the store there is no new owner", |_, world: &World| {
            world.wrong != Some(Wrong::WithoutStore)
        }),
    ]
}

/// A protocol that does nothing is safe as well.
fn progress(protocol: &Protocol) -> Vec<Property<Protocol>> {
    use hawser::volume::lease::{Mobility, Preempt};

    let mut progress = vec![
        Property::sometimes("a volume that nobody had is mounted", |_, world: &World| {
            mounted_after(world, Seen::Unused)
        }),
        Property::sometimes("a volume that was released is mounted", |_, world: &World| {
            mounted_after(world, Seen::Released)
        }),
    ];
    let taken = protocol.mobility == Mobility::Fenced && protocol.preempt != Preempt::Never;
    if taken && protocol.crashes > 0 {
        progress.push(Property::sometimes("a dead owner is replaced", |_, world: &World| {
            mounted_after(world, Seen::Dead)
        }));
    }
    if taken && protocol.preempt == Preempt::Force {
        progress.push(Property::sometimes(
            "a running owner is replaced by force",
            |_, world: &World| mounted_after(world, Seen::Running),
        ));
    }
    progress
}
