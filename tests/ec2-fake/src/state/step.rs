//! What is due: the state goes on by [`World::step`], which gives the effects to carry out, and by
//! [`World::report`], which takes what came of them. While an effect is under way its volume is
//! marked, so that it is given out once.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    AttachPhase, BindOrder, Done, Effect, ModifyPhase, Snapshot, SnapshotPhase, Volume,
    VolumePhase, World, after,
};
use crate::faults::{InstanceState, KmsFailure, Transition};

/// How soon a device that somebody uses is looked at again.
const HELD_PAUSE: Duration = Duration::from_millis(50);
const FAILED_PAUSE: Duration = Duration::from_millis(500);

impl World {
    /// Lets everything happen that is due, and says what is to be done outside.
    pub(crate) fn step(&mut self, now: Timestamp) -> Vec<Effect> {
        let ids: Vec<String> = self.volumes.keys().cloned().collect();
        let mut effects: Vec<Effect> = ids
            .iter()
            .flat_map(|id| [self.image_step(id, now), self.attach_step(id, now)])
            .flatten()
            .collect();
        effects.extend(self.snapshots.values_mut().filter_map(|snapshot| snapshot.step(now)));
        effects
    }

    fn image_step(&mut self, id: &str, now: Timestamp) -> Option<Effect> {
        let failure = self.kms_failure(id);
        let volume = self.volumes.get_mut(id)?;
        if volume.working {
            return None;
        }
        match (volume.phase, failure) {
            (VolumePhase::Creating { due }, Some(KmsFailure::Error)) if due <= now => {
                volume.phase = VolumePhase::Error;
                None
            }
            (VolumePhase::Creating { due }, Some(KmsFailure::Vanish)) if due <= now => {
                self.volumes.remove(id);
                None
            }
            (VolumePhase::Creating { due }, None) if due <= now => {
                volume.working = true;
                let from = volume.snapshot.clone();
                Some(Effect::MakeImage { volume: id.to_owned(), from, gib: volume.gib })
            }
            (VolumePhase::Deleting { due }, _) if due <= now => {
                volume.working = true;
                Some(Effect::RemoveImage { volume: id.to_owned() })
            }
            (VolumePhase::Ready, _) => volume.modify_step(now),
            (
                VolumePhase::Creating { .. } | VolumePhase::Deleting { .. } | VolumePhase::Error,
                _,
            ) => None,
        }
    }

    fn kms_failure(&self, id: &str) -> Option<KmsFailure> {
        let key = self.volumes.get(id)?.kms_key.as_ref()?;
        self.sabotage.kms.get(key).copied()
    }

    fn attach_step(&mut self, id: &str, now: Timestamp) -> Option<Effect> {
        let stuck_attach = self.sabotage.holds(id, Transition::Attach, false);
        let attachment = self.volumes.get(id)?.attachment.as_ref()?;
        let instance = self.instances.get(&attachment.instance)?;
        // Nothing runs there any more that could hold the device.
        let dead = instance.state != InstanceState::Running;
        let (kind, instance) = (instance.spec.kind, instance.spec.id.clone());
        let forced = matches!(attachment.phase, AttachPhase::Detaching { force: true, .. });
        let stuck_detach = self.sabotage.holds(id, Transition::Detach, forced);
        let wrong_serial = self.sabotage.wrong_serials.contains(id);

        let attachment = self.volumes.get_mut(id)?.attachment.as_mut()?;
        if attachment.working {
            return None;
        }
        let effect = match attachment.phase {
            AttachPhase::Attaching { due } if due <= now && !stuck_attach => {
                let (volume, device) = (id.to_owned(), attachment.device.clone());
                Effect::Bind(BindOrder { volume, instance, kind, device, wrong_serial })
            }
            AttachPhase::Detaching { due, force } if due <= now && !stuck_detach => {
                let (volume, bound) = (id.to_owned(), attachment.bound.clone());
                Effect::Unbind { volume, bound, force: force || dead }
            }
            AttachPhase::Attaching { .. }
            | AttachPhase::Attached
            | AttachPhase::Detaching { .. } => return None,
        };
        attachment.working = true;
        Some(effect)
    }

    /// Takes what came of an effect.
    pub(crate) fn report(&mut self, effect: &Effect, done: Done, now: Timestamp) {
        if let Done::Failed(why) = &done {
            tracing::error!(?effect, why, "an effect failed");
        }
        let failed = matches!(done, Done::Failed(_));
        match effect {
            Effect::MakeImage { volume, .. } => self.image_made(volume, failed),
            Effect::RemoveImage { volume } => {
                self.volumes.remove(volume);
            }
            Effect::Bind(order) => self.attach_done(&order.volume, done, now),
            Effect::Unbind { volume, .. } => self.detach_done(volume, &done, now),
            Effect::Grow { volume, .. } => self.grown(volume, failed, now),
            Effect::CopyImage { snapshot, .. } => {
                let until = after(now, self.delays.snapshot);
                if let Some(snapshot) = self.snapshots.get_mut(snapshot) {
                    snapshot.working = false;
                    snapshot.phase = SnapshotPhase::Pending { until };
                }
            }
            Effect::RemoveSnapshot { snapshot } => {
                self.snapshots.remove(snapshot);
            }
        }
    }

    fn image_made(&mut self, id: &str, failed: bool) {
        if let Some(volume) = self.volumes.get_mut(id) {
            volume.working = false;
            volume.phase = if failed { VolumePhase::Error } else { VolumePhase::Ready };
        }
    }

    fn attach_done(&mut self, id: &str, done: Done, now: Timestamp) {
        let shown = after(now, self.hide);
        let Some(volume) = self.volumes.get_mut(id) else { return };
        volume.keep_showing(now, shown);
        let Some(attachment) = &mut volume.attachment else { return };
        attachment.working = false;
        match (done, attachment.phase) {
            (Done::Appeared(bound), phase) => {
                attachment.bound = Some(bound);
                // A detach may have been asked for meanwhile; that one goes on from here.
                if matches!(phase, AttachPhase::Attaching { .. }) {
                    attachment.phase = AttachPhase::Attached;
                }
            }
            (_, AttachPhase::Attaching { .. }) => {
                attachment.phase = AttachPhase::Attaching { due: after(now, FAILED_PAUSE) };
            }
            (_, AttachPhase::Attached | AttachPhase::Detaching { .. }) => {}
        }
    }

    fn detach_done(&mut self, id: &str, done: &Done, now: Timestamp) {
        let shown = after(now, self.hide);
        let Some(volume) = self.volumes.get_mut(id) else { return };
        let Some(attachment) = &mut volume.attachment else { return };
        attachment.working = false;
        let pause = match done {
            Done::Finished | Done::Appeared(_) => {
                volume.keep_showing(now, shown);
                volume.attachment = None;
                return;
            }
            Done::Held => HELD_PAUSE,
            Done::Failed(_) => FAILED_PAUSE,
        };
        if let AttachPhase::Detaching { due, .. } = &mut attachment.phase {
            *due = after(now, pause);
        }
    }

    fn grown(&mut self, id: &str, failed: bool, now: Timestamp) {
        let delay = if failed { FAILED_PAUSE } else { self.delays.modify };
        let Some(volume) = self.volumes.get_mut(id) else { return };
        volume.working = false;
        let Some(modification) = &mut volume.modification else { return };
        let due = after(now, delay);
        if failed {
            modification.phase = ModifyPhase::Modifying { due };
            return;
        }
        modification.phase = ModifyPhase::Optimizing { since: now, due };
        (volume.gib, volume.performance) = modification.to.clone();
    }

    /// When something is due next that nothing is done for yet.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let volumes = self.volumes.values().flat_map(|volume| {
            let image = if volume.working { None } else { volume.image_due() };
            [image, self.attachment_due(volume)]
        });
        let snapshots = self.snapshots.values().map(Snapshot::due);
        volumes.chain(snapshots).flatten().min()
    }

    fn attachment_due(&self, volume: &Volume) -> Option<Timestamp> {
        let attachment = volume.attachment.as_ref().filter(|attachment| !attachment.working)?;
        let (due, transition, force) = match attachment.phase {
            AttachPhase::Attaching { due } => (due, Transition::Attach, false),
            AttachPhase::Detaching { due, force } => (due, Transition::Detach, force),
            AttachPhase::Attached => return None,
        };
        (!self.sabotage.holds(&volume.id, transition, force)).then_some(due)
    }
}
