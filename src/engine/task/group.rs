//! A volume's task where it is a group's, or a member's: see `volume::group`.

use super::{VolumeTask, waiters::tell};
use crate::{
    engine::{
        error::EngineError,
        message::{Chosen, Exclusive},
    },
    spec::Stated,
    volume::{
        CallerEpoch, MountId, NodeName,
        lease::StoreReach,
        transition::{Event, Refusal},
    },
};

impl VolumeTask {
    pub(super) fn node_name(&self) -> Option<&NodeName> {
        self.shared.store.me().map(|me| &me.node)
    }

    /// A Mount, with the claim where it is one of a group's member.
    pub(super) fn mount_event(
        &self,
        id: MountId,
        epoch: CallerEpoch,
        chosen: Option<Chosen>,
    ) -> Event {
        let inherited = self.inherited(&id);
        match chosen {
            None => Event::Mount { id, epoch, inherited },
            Some(Chosen { claim, instead_of }) => {
                Event::MountMember { claim, instead_of, epoch, inherited }
            }
        }
    }

    /// Gives the member free when nothing holds it here: before the caller hears of it, so that its
    /// next Mount finds it free. While the store is away, the plan does it later.
    pub(super) async fn unclaim(&mut self) {
        let idle = self.record.has_idle_claim(self.node_name());
        if !idle || self.shared.store.reach() == StoreReach::Away {
            return;
        }
        let node = self.node_name().cloned();
        if let Err(error) = self.store_event(Event::Unclaimed { node }).await {
            tracing::warn!(volume = %self.record.name, %error, "it is given free later");
        }
    }

    /// A larger `scale=` makes the group larger at once: no data is at risk, and an app states what it
    /// needs. A smaller one changes nothing: an app that was not told of the growth keeps its JSON.
    pub(super) async fn raise(&mut self, stated: &Stated) -> Result<(), EngineError> {
        match (stated.scale(), self.record.spec.scale) {
            (Some(asked), Some(present)) if asked > present => {
                tracing::info!(volume = %self.record.name, from = %present, to = %asked, "a larger group");
                self.request("create", Event::Raised { to: asked }).await
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// A group is nowhere mounted and nobody's: what changes it is one change of its record.
    pub(super) async fn change_group(&mut self, exclusive: Exclusive) {
        match exclusive {
            Exclusive::Remove { purge, reply } => {
                tell(reply, self.rename_to("remove", None, Event::Remove { purge }).await);
            }
            Exclusive::Undelete { name, reserved, reply } => {
                let event = Event::Undelete { name };
                tell(reply, self.rename_to("undelete", reserved, event).await);
            }
            other @ (Exclusive::Rename { .. } | Exclusive::Check { .. }) => {
                let refused = self.refused_as_group(other.op());
                other.fail(|_| refused.clone());
            }
        }
    }

    pub(super) fn refused_as_group(&self, op: &'static str) -> EngineError {
        EngineError::Refused { op, volume: self.record.name.clone(), refusal: Refusal::Group }
    }
}
