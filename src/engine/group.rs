//! Groups of volumes: a task that mounts one gets a member of it, and keeps it.
//!
//! Which member is [`volume::group`](crate::volume::group)'s decision. It is carried out by the
//! member's own task, with the holder in one change of the record: so there is no moment in which a
//! claim could be lost or made twice, and this file keeps no state but who is just choosing.

mod choosing;
mod whole;

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep, timeout},
};

pub(super) use choosing::Turns;

use super::{
    Engine, LONG, SHORT,
    error::EngineError,
    message::{Chosen, Message, MountGrant},
    registry::Handle,
};
use crate::{
    cluster::StoreError,
    spec::{Request, Stated, VolumeName},
    volume::{
        CallerEpoch, Claim, Membership, MountId, Record, VolumeId,
        group::{Choice, Member, Place, Use},
        transition::Refusal,
    },
};

/// How many members are tried for one task: each may take its time to fail.
const TRIES: usize = 4;
/// The pause before choosing again after another task was faster.
const AGAIN: Duration = Duration::from_millis(10);

/// A task that mounts a group.
struct Asking<'a> {
    group: &'a Handle,
    id: MountId,
    epoch: CallerEpoch,
    until: Instant,
}

impl Asking<'_> {
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Engine {
    /// Mounts a member of a group.
    ///
    /// # Errors
    ///
    /// No claim is left behind then.
    pub(super) async fn mount_member(
        &self,
        group: &Handle,
        request: &Request,
        (id, epoch): (MountId, CallerEpoch),
        spent: Duration,
    ) -> Result<MountGrant, EngineError> {
        let asking =
            Asking { group, id, epoch, until: Instant::now() + LONG.saturating_sub(spent) };
        if !request.stated.is_empty() {
            // Docker sends no Create for what exists: a larger scale= arrives with a Mount.
            let stated = request.stated.clone();
            let ask = |reply| Message::Ensure { stated, reply };
            Self::ask(group, "mount", &request.name, asking.left(), ask).await?;
        }
        let _turn = self.turn_of(&asking, &request.name).await?;
        let mut tried = HashMap::new();
        loop {
            let view = group.view();
            if view.record.is_removed() || asking.left().is_zero() {
                return Err(gave_up(&view.record, asking.left()));
            }
            if let Some(grant) = self.try_one(&asking, &view.record, &mut tried).await? {
                return Ok(grant);
            }
        }
    }

    /// One call after the other for one id: the second finds what the first got.
    async fn turn_of(
        &self,
        asking: &Asking<'_>,
        name: &VolumeName,
    ) -> Result<OwnedMutexGuard<()>, EngineError> {
        let turn = self.shared.turns.take(asking.group.view().record.id, &asking.id);
        let late = |_| EngineError::Deadline { op: "mount", volume: name.clone(), after: LONG };
        timeout(asking.left(), turn).await.map_err(late)
    }

    /// `None`: another one is to be chosen.
    async fn try_one(
        &self,
        asking: &Asking<'_>,
        group: &Record,
        tried: &mut HashMap<VolumeId, EngineError>,
    ) -> Result<Option<MountGrant>, EngineError> {
        let (choice, members) = self.choose(group, &asking.id, tried);
        let (member, instead_of, made) = match choice {
            Choice::Take { member, claim } => (self.by_id(member)?, claim, false),
            Choice::Make(number) => {
                self.refuse_new("mount", &group.name)?;
                (self.make_member(group, number, self.claim_of(asking))?, None, true)
            }
            Choice::None => return Err(exhausted(group, &members, tried)),
        };
        let record = member.view().record.clone();
        if !made && !self.has(&record.name) {
            self.refuse_new("mount", &group.name)?;
        }
        match self.claim_and_mount(asking, &member, instead_of).await {
            Ok(grant) => Ok(Some(grant)),
            Err(EngineError::Refused { refusal: Refusal::Claimed(who), .. }) => {
                tracing::debug!(volume = %record.name, who, "another task was faster");
                sleep(AGAIN).await;
                Ok(None)
            }
            // It was made elsewhere in this moment, and is not known here yet.
            Err(EngineError::Store { source: StoreError::Conflict(_), .. }) if made => {
                sleep(AGAIN).await;
                Ok(None)
            }
            // The store is away: no member could be claimed.
            Err(error @ EngineError::Store { .. }) => Err(error),
            // A running task's own volume, or one that could not even be made: no other would be right.
            Err(error) if made && self.is_still(&record) => Err(error),
            Err(error) if record.holder(&asking.id).is_some() => Err(error),
            Err(error) if tried.len() + 1 >= TRIES || asking.left().is_zero() => Err(error),
            Err(error) => {
                tracing::warn!(volume = %record.name, %error, "the next member is tried");
                tried.insert(record.id, error);
                Ok(None)
            }
        }
    }

    async fn claim_and_mount(
        &self,
        asking: &Asking<'_>,
        member: &Handle,
        instead_of: Option<Claim>,
    ) -> Result<MountGrant, EngineError> {
        let name = member.view().record.name.clone();
        let (id, epoch) = (asking.id.clone(), asking.epoch.clone());
        let chosen = Some(Chosen { claim: self.claim_of(asking), instead_of });
        let ask = |reply| Message::Mount { stated: Stated::default(), id, epoch, chosen, reply };
        Self::ask(member, "mount", &name, asking.left(), ask).await
    }

    /// Nobody else's member got the name meanwhile.
    fn is_still(&self, made: &Record) -> bool {
        let named = self.shared.registry.by_name(&made.name);
        named.is_none_or(|handle| handle.view().record.id == made.id)
    }

    fn claim_of(&self, asking: &Asking<'_>) -> Claim {
        Claim { node: self.node_name(), id: asking.id.clone() }
    }

    /// It is claimed from the beginning: other nodes see it as soon as it is stored.
    fn make_member(
        &self,
        group: &Record,
        number: u16,
        claim: Claim,
    ) -> Result<Handle, EngineError> {
        let name = group.name.of_member(number)?;
        let spec = group.spec.of_member(number);
        let mut record = Record::new(VolumeId::random(), name, spec, Timestamp::now());
        record.member = Some(Membership { claim: Some(claim), ..Membership::new(group, number) });
        Ok(self.start_new(record))
    }

    /// Lets go of the member that a task had.
    pub(super) async fn unmount_member(
        &self,
        group: &Handle,
        id: &MountId,
        epoch: &CallerEpoch,
    ) -> Result<(), EngineError> {
        for member in self.members(&group.view().record) {
            let view = member.view();
            if !self.is_had_by(&view.record, id) {
                continue;
            }
            let (id, epoch) = (id.clone(), epoch.clone());
            let ask = |reply| Message::Unmount { id, epoch, reply };
            Self::ask(&member, "unmount", &view.record.name, SHORT, ask).await?;
        }
        Ok(())
    }

    /// Whether a task of that id on this node has the member: by its claim, or, where another node has
    /// taken the claim over, as a holder. A caller without an id may hold one by its own name, too.
    fn is_had_by(&self, record: &Record, id: &MountId) -> bool {
        let claim = record.member.as_ref().and_then(|member| member.claim.as_ref());
        let mine = claim.map(|claim| claim.node == self.node_name());
        let held = record.holder(id).is_some();
        match mine {
            Some(true) => claim.is_some_and(|claim| claim.id == *id),
            Some(false) => held,
            None => held && !id.is_anonymous(),
        }
    }
}

/// Nothing came of it, through no fault of a member.
fn gave_up(group: &Record, left: Duration) -> EngineError {
    let volume = group.name.clone();
    if left.is_zero() {
        return EngineError::Deadline { op: "mount", volume, after: LONG };
    }
    EngineError::Gone { op: "mount", volume }
}

/// Every member, and why it is not to be had.
fn exhausted(
    group: &Record,
    members: &[Member],
    tried: &HashMap<VolumeId, EngineError>,
) -> EngineError {
    let limit = usize::from(group.spec.scale.map_or(1, |scale| scale.get()));
    let why = |(index, member): (usize, &Member)| {
        let why = match (tried.get(&member.id), &member.usage, &member.place) {
            (Some(error), _, _) => error.to_string(),
            (None, Use::Taken(who), _) => who.clone(),
            (None, Use::Own | Use::Free | Use::Lapsed, Place::OutOfReach(why)) => why.clone(),
            (None, Use::Own | Use::Free | Use::Lapsed, _) if index >= limit => {
                format!("free, but above scale={limit}")
            }
            (None, Use::Own | Use::Free | Use::Lapsed, _) => "free just now".to_owned(),
        };
        format!("{}: {why}", member.name)
    };
    let members = members.iter().enumerate().map(why).collect::<Vec<_>>().join("; ");
    EngineError::Exhausted { volume: group.name.clone(), scale: limit, members }
}
