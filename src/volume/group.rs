//! Groups of volumes (`scale=N`): whose each member is, and which one a task gets.
//!
//! A group is a record with `spec.scale` and no storage of its own. Its members are ordinary volumes,
//! made as they are needed, whose records say of which group they are and what number they have. A
//! member is one by that label and by its exact name together: what is only called like one is none.
//!
//! ```text
//!            Mount(group, id): compare-and-set, with the holder
//!   free ─────────────────────────────────────────────────────▶ claimed by (node, id)
//!    ▲  ◀──────── nothing holds it on that node any more ──────────┘        │
//!    └────────── that node is gone, and the volume can go elsewhere ────────┘
//! ```
//!
//! A claim is part of the member's record, so that two nodes cannot make the same one. It lives as
//! long as its node: [`choose`] takes a claim of a node that is gone for a free member, and the
//! volume's own lease decides whether it is to be had.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{MountId, NodeName, Phase, Record, VolumeId};
use crate::spec::{BackendKind, Scale, VolumeName};

/// Of which group a volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// The group.
    pub group: VolumeId,
    /// Its name.
    pub name: VolumeName,
    /// The member's number, from 1.
    pub number: u16,
    /// Whose it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Whose it was on a node that is gone, while the present claim's node takes the volume over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Claim>,
    /// Whose it was last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastUse>,
}

/// Whose a member is: a task's, as its caller calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The node of the cluster; none of a node that is in no cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// The caller's id.
    pub id: MountId,
}

/// Where a member was used last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastUse {
    /// The node of the cluster; none of a node that is in no cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Until when.
    pub at: Timestamp,
}

impl Membership {
    /// Of a member that was just made.
    #[must_use]
    pub fn new(group: &Record, number: u16) -> Self {
        Self {
            group: group.id,
            name: group.name.clone(),
            number,
            claim: None,
            before: None,
            last: None,
        }
    }

    /// With another claim.
    #[must_use]
    pub fn claimed(&self, claim: Claim) -> Self {
        // Who was not relieved of it yet is who may have it still.
        let before = self.before.clone().or_else(|| self.claim.clone());
        Self { claim: Some(claim), before, ..self.clone() }
    }
}

impl Record {
    /// Whether it is a group of volumes, and no volume.
    #[must_use]
    pub const fn is_group(&self) -> bool {
        self.spec.scale.is_some()
    }

    /// What it says of itself as a member of that group, if it is one.
    #[must_use]
    pub fn member_of(&self, group: &Self) -> Option<&Membership> {
        let member = self.member.as_ref().filter(|member| member.group == group.id)?;
        let name = group.name.of_member(member.number).ok()?;
        (!self.is_removed() && self.name == name).then_some(member)
    }

    /// What it says of itself after its claim ended. Where the volume was not to be had from the node
    /// that had it before, the task there has it again: that node may live after all.
    #[must_use]
    pub fn unclaimed(&self, now: Timestamp) -> Option<Membership> {
        let member = self.member.as_ref()?;
        let node = member.claim.as_ref().map(|claim| claim.node.clone());
        let last = node.map(|node| LastUse { node, at: now }).or_else(|| member.last.clone());
        let has = |node: &NodeName| self.lease.is_of(node) || self.users.contains(node);
        let claim = member.before.clone().filter(|claim| claim.node.as_ref().is_some_and(has));
        Some(Membership { claim, before: None, last, ..member.clone() })
    }

    /// Whether this node's claim outlived its holder.
    #[must_use]
    pub fn has_idle_claim(&self, me: Option<&NodeName>) -> bool {
        let claim = self.member.as_ref().and_then(|member| member.claim.as_ref());
        claim.is_some_and(|claim| claim.node.as_ref() == me && self.holder(&claim.id).is_none())
    }
}

/// How near a member is to this node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Its storage is here, or was here last.
    Here,
    /// In the same zone.
    Near,
    /// Elsewhere, where this node reaches it.
    Far,
    /// Where this node does not reach it, and why.
    OutOfReach(String),
}

/// What a member means to the task that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// It is that task's already.
    Own,
    /// It is nobody's.
    Free,
    /// It was a task's on a node that is gone.
    Lapsed,
    /// It is another's.
    Taken(String),
}

/// A member, as the task sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The volume.
    pub id: VolumeId,
    /// Its name.
    pub name: VolumeName,
    /// Its number.
    pub number: u16,
    /// Who has claimed it: what a new claim is compared with.
    pub claim: Option<Claim>,
    /// When it was last used.
    pub last: Option<Timestamp>,
    /// What it means to the task.
    pub usage: Use,
    /// How near it is.
    pub place: Place,
}

/// Who asks for a member, and what that node knows of the others.
pub struct Asker<'a> {
    /// This node, where it is in a cluster.
    pub node: Option<&'a NodeName>,
    /// The caller's id.
    pub id: &'a MountId,
    /// Whether a node of that name lives.
    pub lives: &'a dyn Fn(&NodeName) -> bool,
}

impl Asker<'_> {
    fn is_there(&self, node: &NodeName) -> bool {
        self.node == Some(node) || (self.lives)(node)
    }

    /// What a member means to who asks.
    #[must_use]
    pub fn usage(&self, record: &Record, member: &Membership) -> Use {
        match &member.claim {
            Some(claim) if claim.node.as_ref() == self.node && claim.id == *self.id => Use::Own,
            Some(claim) => match &claim.node {
                // The claim of a disk's own node says whose data it is: it comes back with the disk.
                Some(node)
                    if !self.is_there(node) && record.spec.backend.kind() != BackendKind::Local =>
                {
                    Use::Lapsed
                }
                Some(_) | None => Use::Taken(claim.to_string()),
            },
            // Only a mount of the group can have the id of one, where there is an id.
            None if !self.id.is_anonymous() && record.holder(self.id).is_some() => Use::Own,
            None => self.held_directly(record).map_or(Use::Free, Use::Taken),
        }
    }

    /// Who uses it by its own name.
    fn held_directly(&self, record: &Record) -> Option<String> {
        let here = record.holders.first().map(|holder| format!("{holder}, by its own name"));
        let others = || {
            let mut users = record.users.iter();
            let user = users.find(|node| Some(*node) != self.node && self.is_there(node))?;
            Some(format!("node {user}, by its own name"))
        };
        here.or_else(others)
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id: String = self.id.to_string().chars().take(12).collect();
        match &self.node {
            Some(node) => write!(f, "mount {id} on node {node}"),
            None => write!(f, "mount {id}"),
        }
    }
}

/// What to do for a task that asks for a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Claim that one, if its claim is still this.
    Take {
        /// Which.
        member: VolumeId,
        /// What its claim is now.
        claim: Option<Claim>,
    },
    /// Make the one with that number.
    Make(u16),
    /// There is none to be had.
    None,
}

/// Chooses a member for a task. `foreign` says which numbers' names are other volumes'; what was
/// `tried` in vain is not chosen again.
///
/// A task gets what it has; else what is here, the one that was used last first (who restarts a task
/// finds its data again); else what can be had from elsewhere, a dead node's before others (it is
/// being replaced, more likely than not); else a new one. A group that was made smaller keeps its
/// members with the highest numbers for who has them.
#[must_use]
pub fn choose(
    members: &[Member],
    scale: Scale,
    foreign: &dyn Fn(u16) -> bool,
    tried: &[VolumeId],
) -> Choice {
    let take = |member: &Member| Choice::Take { member: member.id, claim: member.claim.clone() };
    let open = |member: &&Member| !tried.contains(&member.id);
    if let Some(own) = members.iter().filter(open).find(|member| member.usage == Use::Own) {
        return take(own);
    }
    let mut in_use: Vec<&Member> = members.iter().collect();
    in_use.sort_by_key(|member| member.number);
    in_use.truncate(scale.get().into());
    let count = in_use.len();
    let best =
        in_use.into_iter().filter(open).filter_map(|m| Some((rank(m)?, m))).min_by_key(
            |(rank, member)| (rank.clone(), std::cmp::Reverse(member.last), member.number),
        );
    if let Some((_, best)) = best {
        return take(best);
    }
    if count >= scale.get().into() {
        return Choice::None;
    }
    let taken = |number: &u16| members.iter().any(|member| member.number == *number);
    (1..=u16::MAX)
        .find(|number| !taken(number) && !foreign(*number))
        .map_or(Choice::None, Choice::Make)
}

/// The lower, the better; `None`: not to be had.
fn rank(member: &Member) -> Option<(Place, u8)> {
    let dead_first = match (&member.usage, &member.place) {
        (Use::Taken(_) | Use::Own, _) | (_, Place::OutOfReach(_)) => return None,
        // What is free here is taken before what may have to be taken over.
        (Use::Free, Place::Here) | (Use::Lapsed, Place::Near | Place::Far) => 0,
        (Use::Lapsed, Place::Here) | (Use::Free, Place::Near | Place::Far) => 1,
    };
    Some((member.place.clone(), dead_first))
}

/// Whether another node is just making it, and would have to let go of it at once.
#[must_use]
pub fn is_being_made_elsewhere(record: &Record, me: Option<&NodeName>) -> Option<NodeName> {
    let owner = &record.lease.owner.as_ref()?.node;
    (record.phase == Phase::Creating && Some(owner) != me).then(|| owner.clone())
}

#[cfg(test)]
mod tests;
