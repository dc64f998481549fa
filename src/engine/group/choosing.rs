//! What this node knows of a group's members: the facts that the choice is made on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

use crate::{
    engine::{Engine, EngineError, registry::Handle},
    spec::BackendSpec,
    volume::{
        Membership, MountId, NodeName, Record, VolumeId,
        group::{Asker, Choice, Member, Place, choose, is_being_made_elsewhere},
        lease::Session,
    },
};

type Turn = tokio::sync::Mutex<()>;

/// Who is just choosing: one call at a time for each id of a group.
#[derive(Debug, Default)]
pub(in crate::engine) struct Turns(
    /// Held for look-ups only; the inner locks are held while a member is mounted.
    Mutex<HashMap<(VolumeId, MountId), Weak<Turn>>>,
);

impl Turns {
    pub(super) async fn take(&self, group: VolumeId, id: &MountId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let key = (group, id.clone());
            let present = turns.get(&key).and_then(Weak::upgrade);
            present.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(key, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

impl Engine {
    /// The members of a group, by number.
    pub(in crate::engine) fn members(&self, group: &Record) -> Vec<Handle> {
        let number = |handle: Handle| {
            let number = handle.view().record.member_of(group)?.number;
            Some((number, handle))
        };
        let mut members: Vec<_> =
            self.shared.registry.all().into_iter().filter_map(number).collect();
        members.sort_by_key(|(number, _)| *number);
        members.into_iter().map(|(_, handle)| handle).collect()
    }

    pub(super) fn node_name(&self) -> Option<NodeName> {
        self.shared.store.me().map(|me| me.node.clone())
    }

    /// The choice, and the members that it was made among.
    pub(super) fn choose(
        &self,
        group: &Record,
        id: &MountId,
        tried: &HashMap<VolumeId, EngineError>,
    ) -> (Choice, Vec<Member>) {
        let Some(scale) = group.spec.scale else { return (Choice::None, Vec::new()) };
        let node = self.node_name();
        let lives = |node: &NodeName| self.shared.store.session(node) == Session::Lives;
        let asker = Asker { node: node.as_ref(), id, lives: &lives };
        let member = |handle: Handle| {
            let record = &handle.view().record;
            let member = record.member_of(group)?;
            Some(Member {
                id: record.id,
                name: record.name.clone(),
                number: member.number,
                claim: member.claim.clone(),
                last: member.last.as_ref().map(|last| last.at),
                usage: asker.usage(record, member),
                place: self.place_of(record, member),
            })
        };
        let members: Vec<_> = self.members(group).into_iter().filter_map(member).collect();
        let foreign = |number: u16| {
            let name = group.name.of_member(number);
            name.map_or(true, |name| self.shared.registry.by_name(&name).is_some())
        };
        let tried: Vec<_> = tried.keys().copied().collect();
        (choose(&members, scale, &foreign, &tried), members)
    }

    fn place_of(&self, record: &Record, member: &Membership) -> Place {
        let Some(me) = self.shared.store.me() else { return Place::Here };
        let lives = |node: &NodeName| self.shared.store.session(node) == Session::Lives;
        let maker = is_being_made_elsewhere(record, Some(&me.node)).filter(lives);
        if let Some(maker) = maker {
            return Place::OutOfReach(format!("it is just being made on node {maker}"));
        }
        let owner = record.lease.owner.as_ref().map(|owner| &owner.node);
        let last = member.last.as_ref().and_then(|last| last.node.as_ref());
        let mine = owner == Some(&me.node) || record.lease.is_unused();
        let unowned = owner.is_none() || record.spec.backend.is_directory();
        if mine || unowned && last == Some(&me.node) {
            return Place::Here;
        }
        let zone = |node: &NodeName| self.shared.store.nodes().get(node)?.info.zone.clone();
        let here = zone(&me.node);
        match &record.spec.backend {
            BackendSpec::Local(_) => {
                let owner = owner.map_or("another node", NodeName::as_str);
                Place::OutOfReach(format!("it is on a disk of node {owner}"))
            }
            BackendSpec::Ebs(ebs) => match (&ebs.zone, here) {
                (Some(there), Some(here)) if *there != here => {
                    Place::OutOfReach(format!("it is in zone {there}, and this node in {here}"))
                }
                _ => Place::Near,
            },
            BackendSpec::Nfs(_) => {
                let there = owner.or(last).and_then(zone);
                if there.is_some() && there == here { Place::Near } else { Place::Far }
            }
        }
    }
}
