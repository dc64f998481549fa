//! Growing, and changing type and performance: one ModifyVolume with all that differs.
//!
//! EC2 takes some hours between two changes of a volume. So a change that is under way to what is
//! wanted is waited for and not asked for again, and a refusal says when the last one was.

use tokio::time::{Instant, sleep};

use super::{
    Inner,
    api::{ApiError, Change, Ec2Volume, Modification, ModificationState},
    attach::no_storage,
    error::EbsError,
    size,
};
use crate::{
    backend::VolumeRef,
    fault,
    spec::{Bytes, EbsSpec},
};

impl Inner {
    pub(super) async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), EbsError> {
        let spec = super::spec_of(&volume.spec.backend)?;
        let id = self.handle_of(volume).await?.ok_or_else(|| no_storage(volume))?;
        let seen = self.ours(volume, &id).await?;
        let before = match &volume.changed_from {
            Some(before) => super::spec_of(before)?,
            None => spec,
        };
        let wanted = difference(&seen, before, spec, size::gib(to));
        if wanted != Change::default() {
            self.change(&id, &wanted).await?;
            self.describer.forget(&id);
        }
        self.wait_device_grown(&id, size::bytes(size::gib(to))).await
    }

    async fn change(&self, id: &str, wanted: &Change) -> Result<(), EbsError> {
        let last = self.last_modification(id).await?;
        if !last.is_some_and(|last| leads_to(&last, wanted)) {
            match self.api.modify_volume(id, wanted).await {
                Ok(()) => {}
                Err(error)
                    if error
                        .is(&["IncorrectModificationState", "VolumeModificationRateExceeded"]) =>
                {
                    // The answer to the first attempt may have been lost.
                    let last = self.last_modification(id).await?;
                    if !last.as_ref().is_some_and(|last| leads_to(last, wanted)) {
                        return Err(refused(id, &error, last.as_ref()));
                    }
                }
                Err(error) => return Err(EbsError::api(id)(error)),
            }
        }
        fault::point("ebs.grow.called");
        self.wait_changed(id, wanted).await
    }

    async fn last_modification(&self, id: &str) -> Result<Option<Modification>, EbsError> {
        self.api.last_modification(id).await.map_err(EbsError::api(id))
    }

    /// Waits until the change is there; what EC2 still optimizes is.
    async fn wait_changed(&self, id: &str, wanted: &Change) -> Result<(), EbsError> {
        let limit = self.describer.pace.modified;
        let deadline = Instant::now() + limit;
        let mut pause = self.describer.pace.first_poll;
        loop {
            sleep(pause).await;
            let seen = match self.api.last_modification(id).await {
                Ok(Some(last)) if leads_to(&last, wanted) => match last.state {
                    ModificationState::Optimizing | ModificationState::Completed => return Ok(()),
                    ModificationState::Failed => {
                        let why = last.message.unwrap_or_else(|| "no reason was given".into());
                        return Err(EbsError::state(id, format!("the change failed: {why}")));
                    }
                    ModificationState::Modifying => "it is still modifying".to_owned(),
                },
                Ok(Some(_) | None) => "EC2 does not show the change".to_owned(),
                Err(error) if error.is_passing() => error.to_string(),
                Err(error) => return Err(EbsError::api(id)(error)),
            };
            if Instant::now() >= deadline {
                return Err(EbsError::TooLong {
                    on: id.to_owned(),
                    wanted: "changed",
                    limit,
                    seen,
                });
            }
            pause = (pause * 3 / 2).min(self.describer.pace.longest_poll);
        }
    }

    /// Waits until the device has the size, where there is one.
    async fn wait_device_grown(&self, id: &str, to: Bytes) -> Result<(), EbsError> {
        let limit = self.describer.pace.device;
        let deadline = Instant::now() + limit;
        let mut pause = self.describer.pace.first_look;
        let mut attached_as = None;
        loop {
            let found = match self.device_by_serial(id).await? {
                Some(found) => Some(found),
                None => {
                    // On Xen there is no serial number: EC2 knows the name.
                    if attached_as.is_none() {
                        attached_as = Some(self.attached_as(id).await?);
                    }
                    match attached_as.as_ref().and_then(Option::as_deref) {
                        None => return Ok(()),
                        Some(name) => self.look_for_device(id, name.to_owned()).await?,
                    }
                }
            };
            match found {
                None => return Ok(()),
                Some(found) if found.size >= to => return Ok(()),
                Some(found) if Instant::now() >= deadline => {
                    let seen =
                        format!("{} has {}, not {to}", found.device.path.display(), found.size);
                    return Err(EbsError::TooLong {
                        on: id.to_owned(),
                        wanted: "grown",
                        limit,
                        seen,
                    });
                }
                Some(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(self.describer.pace.longest_look);
        }
    }

    /// The name that the volume is attached to this instance as.
    async fn attached_as(&self, id: &str) -> Result<Option<String>, EbsError> {
        let seen = self.describer.look(id).await.map_err(EbsError::api(id))?;
        let Some(seen) = seen.filter(|seen| !seen.attachments.is_empty()) else { return Ok(None) };
        let me = self.node.instance(&self.api).await?;
        Ok(seen.attached_to(me).map(|here| here.device.clone()))
    }
}

/// What is to be changed. Never smaller, and nothing that was not asked for: the record also has what EC2
/// made of the volume, and an operator may have changed that since.
fn difference(seen: &Ec2Volume, before: &EbsSpec, spec: &EbsSpec, gib: u32) -> Change {
    let volume_type = spec.volume_type.as_str();
    let other_type = spec.volume_type != before.volume_type && volume_type != seen.volume_type;
    let performance = |before: Option<u32>, wanted: Option<u32>, is: Option<u32>| {
        let asked = wanted != before;
        match wanted {
            // EC2 would choose where none is sent with another type.
            Some(kept) if other_type && !asked => is.or(Some(kept)),
            Some(_) if asked => wanted.filter(|_| other_type || wanted != is),
            Some(_) | None => None,
        }
    };
    Change {
        gib: Some(gib).filter(|gib| *gib > seen.gib),
        volume_type: other_type.then(|| volume_type.to_owned()),
        iops: performance(before.iops, spec.iops, seen.iops),
        throughput: performance(before.throughput, spec.throughput, seen.throughput),
    }
}

/// Whether a change that did not fail is the one that is wanted.
fn leads_to(last: &Modification, wanted: &Change) -> bool {
    fn agrees<T: PartialEq>(wanted: Option<&T>, target: Option<&T>) -> bool {
        wanted.is_none() || wanted == target
    }
    last.state != ModificationState::Failed
        && agrees(wanted.gib.as_ref(), last.gib.as_ref())
        && agrees(wanted.volume_type.as_ref(), last.volume_type.as_ref())
        && agrees(wanted.iops.as_ref(), last.iops.as_ref())
        && agrees(wanted.throughput.as_ref(), last.throughput.as_ref())
}

fn refused(id: &str, error: &ApiError, last: Option<&Modification>) -> EbsError {
    let when = last.and_then(|last| last.started);
    let last = when.map_or_else(
        || "EC2 does not say when the last change was begun".to_owned(),
        |at| format!("the last change was begun at {at}"),
    );
    EbsError::state(id, format!("{error}; {last}: try again later"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(state: ModificationState) -> Modification {
        Modification {
            state,
            message: None,
            gib: Some(20),
            volume_type: Some("gp3".into()),
            iops: Some(3000),
            throughput: Some(125),
            started: None,
        }
    }

    /// k8s #69434: a resize that is asked for again while it is optimizing.
    #[test]
    fn a_change_under_way_to_what_is_wanted_is_not_asked_for_again() {
        let wanted = Change { gib: Some(20), ..Change::default() };
        for state in [ModificationState::Modifying, ModificationState::Optimizing] {
            assert!(leads_to(&last(state), &wanted));
        }
        assert!(!leads_to(&last(ModificationState::Failed), &wanted));
        let other = Change { iops: Some(4000), ..wanted };
        assert!(!leads_to(&last(ModificationState::Modifying), &other));
    }
}
