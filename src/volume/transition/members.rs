//! What happens to groups and to the claims of their members: see `volume::group` for the diagram.

use jiff::Timestamp;

use super::Refusal;
use crate::{
    spec::Scale,
    volume::{Claim, Membership, NodeName, Record},
};

/// The membership after `claim`, which was chosen while the claim was `instead_of`.
pub(super) fn claimed(
    record: &Record,
    claim: &Claim,
    instead_of: Option<&Claim>,
) -> Result<Membership, Refusal> {
    let other = |who: String| Refusal::Claimed(who);
    let member = record.member.as_ref();
    let member = member.ok_or_else(|| other("a volume of no group has its name".to_owned()))?;
    match &member.claim {
        Some(present) if present == claim => return Ok(member.clone()),
        Some(present) if Some(present) != instead_of => return Err(other(present.to_string())),
        None if instead_of.is_some() => return Err(other("it was given free just now".to_owned())),
        Some(_) | None => {}
    }
    // Somebody mounted it by its own name meanwhile.
    if let Some(holder) = record.holders.iter().find(|holder| holder.id != claim.id) {
        return Err(other(holder.to_string()));
    }
    Ok(member.claimed(claim.clone()))
}

/// Ends the claim of that node, if nothing holds the member there.
pub(super) fn unclaim(record: &mut Record, node: Option<&NodeName>, now: Timestamp) {
    if record.has_idle_claim(node) {
        record.member = record.unclaimed(now);
    }
}

/// Nobody had it when it was removed.
pub(super) fn removed(record: &mut Record) {
    if let Some(member) = &mut record.member {
        (member.claim, member.before) = (None, None);
    }
}

pub(super) fn raise(record: &mut Record, to: Scale) -> Result<(), Refusal> {
    let present = record.spec.scale.ok_or(Refusal::NoGroup)?;
    record.spec.scale = Some(present.max(to));
    Ok(())
}

pub(super) fn refuse_group(record: &Record) -> Result<(), Refusal> {
    if record.is_group() { Err(Refusal::Group) } else { Ok(()) }
}
