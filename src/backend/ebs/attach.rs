//! Attaching: AttachVolume, the wait for EC2, and then for the device.
//!
//! ```text
//! look ─ attached here ────────────────────────────────────▶ the device, verified
//!   ├── attaching here (a crash before, a lost answer) ─ wait ──▲     │
//!   ├── leaving another instance ─ wait, and look again         │     │ none came
//!   ├── attached elsewhere ──▶ InUse                            │     │
//!   └── available ─ name, AttachVolume ─ wait ──────────────────┘     ▼
//!                       ▲             └─ too long ──────────▶ DetachVolume ─ wait ─┐
//!                       └──────────────── another name, once ──────────────────────┘
//! ```
//! An attachment is taken back if EC2 was seen to say after the limit that it is not there yet, or
//! its device did not appear or has a double, and nobody has a device of it. None is begun while a
//! device is left here of an earlier one.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    api::{Attachment, AttachmentState, Ec2Volume, VolumeState},
    detach::Force,
    device::{Located, WrongDevice},
    error::EbsError,
    names::Name,
    size,
    slots::{Full, Reservation},
    wait::{Wait, or_cancelled, shown},
};
use crate::{backend::VolumeRef, fault, volume::Device};

/// How often a whole attachment is tried.
const ROUNDS: u32 = 2;
/// How many names are tried that EC2 says are taken.
const NAMES: u32 = 8;

/// Where a volume is, for this instance.
pub(super) enum Place {
    Free,
    Here(Attachment),
    Elsewhere(Attachment),
}

/// What became of AttachVolume.
enum Called {
    Taken(Reservation),
    /// EC2 says that it is attached already: somewhere, perhaps here.
    Already,
}

impl Inner {
    pub(super) async fn attach(
        &self,
        volume: &VolumeRef,
        cancel: &CancellationToken,
    ) -> Result<Device, EbsError> {
        let id = or_cancelled(cancel, self.handle_of(volume)).await?;
        let id = id.ok_or_else(|| no_storage(volume))?;
        let me = or_cancelled(cancel, self.node.instance(&self.api)).await?;
        let (mut called, mut happened) = (0, Vec::new());
        for _ in 0..=ROUNDS {
            let seen = or_cancelled(cancel, self.ours(volume, &id)).await?;
            refuse_shared(&seen)?;
            let (name, came) = match place(&seen, me) {
                Place::Elsewhere(other) => {
                    self.wait_let_go(&id, &other, cancel).await?;
                    happened.push(format!("{} had it before", other.instance));
                    continue;
                }
                Place::Here(here) if here.is_leaving() => {
                    self.wait_free(&id, me, self.config.attach_timeout, Some(cancel)).await?;
                    happened.push("it was waited for until it was detached".to_owned());
                    continue;
                }
                Place::Here(here) if here.state == AttachmentState::Attached => {
                    (Name::of(&here.device), self.appear(&id, cancel).await)
                }
                Place::Here(here) => (Name::of(&here.device), self.arrive(&id, me, cancel).await),
                Place::Free if called >= ROUNDS => break,
                Place::Free => {
                    self.wait_usable(&seen, me, cancel).await?;
                    if let Some(left) = self.left_behind(&id, cancel).await? {
                        happened.push(left);
                        break;
                    }
                    called += 1;
                    match self.call_attach(&id, me, cancel).await? {
                        Called::Taken(reservation) => {
                            (reservation.name.clone(), self.arrive(&id, me, cancel).await)
                        }
                        Called::Already => {
                            self.wait_shown(&id, cancel).await?;
                            happened.push("EC2 said that it was attached already".to_owned());
                            continue;
                        }
                    }
                }
            };
            let stuck = match came {
                Err(stuck) if is_stuck(&stuck) => stuck,
                came => return came,
            };
            tracing::warn!(volume = %volume.name, %stuck, "the attachment is stuck: it is taken back");
            self.slots.failed(&name);
            self.take_back(&id, me, &name, cancel).await?;
            happened.push(format!("as {} ({stuck}) it was taken back", name.device()));
        }
        let mut why = format!("it cannot be attached to {me}: {}", happened.join("; "));
        let of_devices = |one: &String| one.ends_with("taken back") || one.ends_with("still there");
        if happened.iter().any(of_devices) {
            why += ": look for a device that the instance still has, or reboot it";
        }
        Err(EbsError::state(&id, why))
    }

    /// What is left here of an earlier attachment, though EC2 shows none: beside it the volume's own
    /// device could not be told. What EC2 was asked for just now may be there before EC2 shows it.
    async fn left_behind(
        &self,
        id: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<String>, EbsError> {
        if self.slots.called_within(id, self.describer.pace.invisible) {
            return Ok(None);
        }
        match or_cancelled(cancel, self.wait_gone(id)).await {
            Err(EbsError::TooLong { seen, .. }) => Ok(Some(seen)),
            gone => gone.map(|()| None),
        }
    }

    /// Waits for another instance that is letting go of it; one that is not has it.
    async fn wait_let_go(
        &self,
        id: &str,
        other: &Attachment,
        cancel: &CancellationToken,
    ) -> Result<(), EbsError> {
        let pace = self.describer.pace;
        let limit = if other.is_leaving() {
            self.config.attach_timeout
        } else if self.fenced.within(id, other, pace.invisible) {
            // It is known to be over: EC2 shows what was before.
            pace.invisible
        } else {
            return Err(elsewhere(id, other));
        };
        match self.wait_free(id, &other.instance, limit, Some(cancel)).await {
            Err(EbsError::TooLong { .. }) => Err(elsewhere(id, other)),
            done => done,
        }
    }

    /// Waits until a new volume is available, and refuses one that can never be attached here.
    async fn wait_usable(
        &self,
        seen: &Ec2Volume,
        me: &str,
        cancel: &CancellationToken,
    ) -> Result<(), EbsError> {
        let zone = or_cancelled(cancel, self.node.zone(&self.api)).await?;
        if seen.zone != zone {
            return Err(EbsError::state(
                &seen.id,
                format!(
                    "it is in {}, and {me} is in {zone}: an EBS volume cannot leave its zone; run the task in {0}, or make a volume here from a snapshot of it (snapshot=, zone={zone})",
                    seen.zone
                ),
            ));
        }
        let limit = self.describer.pace.created;
        let wait = Wait { volume: &seen.id, wanted: "available", limit, cancel: Some(cancel) };
        if seen.state != VolumeState::Creating {
            return Ok(());
        }
        let ready = |seen: Option<&Ec2Volume>| {
            Ok(seen.is_some_and(|seen| seen.state != VolumeState::Creating).then_some(()))
        };
        self.describer.wait_until(wait, ready).await
    }

    async fn call_attach(
        &self,
        id: &str,
        me: &str,
        cancel: &CancellationToken,
    ) -> Result<Called, EbsError> {
        for _ in 0..NAMES {
            let reservation = or_cancelled(cancel, self.reserve(id, me)).await?;
            if cancel.is_cancelled() {
                return Err(EbsError::Cancelled);
            }
            self.slots.calling(id);
            let answer = self.api.attach_volume(id, me, &reservation.name.device()).await;
            fault::point("ebs.attach.called");
            self.describer.forget(id);
            if answer.as_ref().is_err_and(|error| error.code.is_some()) {
                self.slots.refused(id);
            }
            match answer {
                Ok(()) => {
                    reservation.taken_by(id);
                    return Ok(Called::Taken(reservation));
                }
                Err(error) if error.is(&["VolumeInUse"]) => return Ok(Called::Already),
                // Another name is all that is needed.
                Err(error)
                    if ["already in use", "is not a valid EBS device name"]
                        .iter()
                        .any(|why| error.message.contains(why)) =>
                {
                    self.slots.failed(&reservation.name);
                }
                // EC2 counts what this backend does not know: its word goes.
                Err(error) => return Err(EbsError::api(id)(error)),
            }
        }
        Err(EbsError::state(
            id,
            format!("EC2 refuses {NAMES} device names of {me}: they are in use, or none at all"),
        ))
    }

    /// A slot and a name of this instance.
    async fn reserve(&self, id: &str, me: &str) -> Result<Reservation, EbsError> {
        let seen = self.slots.first_look(&self.api, me).await.map_err(EbsError::api(id))?;
        let limit = self.node.limit(&self.api, seen).await;
        if let Ok(reservation) = self.slots.reserve(limit) {
            return Ok(reservation);
        }
        self.slots.look_again(&self.api, me).await.map_err(EbsError::api(id))?;
        self.slots.reserve(limit).map_err(|full| {
            let (taken, kind) = (self.slots.taken(), &seen.instance_type);
            let why = match (full, limit) {
                (Full::Slots, Some(limit)) if self.config.attach_limit.is_some() => format!(
                    "{taken} volumes are attached, the root volume among them, of {limit} (backends.ebs.attach_limit): free one, or raise it"
                ),
                (Full::Slots, Some(limit)) => format!(
                    "{taken} volumes are attached, of {limit} that the type {kind} takes: free one, or use a larger instance"
                ),
                (Full::Slots, None) | (Full::Names, _) => format!(
                    "all names that EC2 takes for devices are in use, by {taken} volumes: free one"
                ),
            };
            EbsError::NoSlot { on: id.to_owned(), node: me.to_owned(), why }
        })
    }

    async fn wait_attached(
        &self,
        id: &str,
        me: &str,
        cancel: &CancellationToken,
    ) -> Result<(), EbsError> {
        let limit = self.config.attach_timeout;
        let wait = Wait { volume: id, wanted: "attached", limit, cancel: Some(cancel) };
        let begun = Instant::now();
        let late = self.describer.pace.invisible;
        let attached = |seen: Option<&Ec2Volume>| {
            let Some(seen) = seen else { return Ok(None) };
            match place(seen, me) {
                // EC2 may show an older state for a moment, which is also whose it was before.
                Place::Elsewhere(_) if begun.elapsed() < late => Ok(None),
                Place::Elsewhere(other) => Err(elsewhere(id, &other)),
                Place::Free => Ok(None),
                Place::Here(attachment) => match attachment.state {
                    AttachmentState::Attached => Ok(Some(())),
                    AttachmentState::Attaching => Ok(None),
                    AttachmentState::Busy | AttachmentState::Detaching => Err(EbsError::state(
                        id,
                        format!("somebody detaches it: {}", shown(Some(seen))),
                    )),
                },
            }
        };
        self.describer.wait_until(wait, attached).await
    }

    /// Waits until EC2 shows the attachment that it speaks of.
    async fn wait_shown(&self, id: &str, cancel: &CancellationToken) -> Result<(), EbsError> {
        let limit = self.describer.pace.invisible;
        let wait = Wait { volume: id, wanted: "attached somewhere", limit, cancel: Some(cancel) };
        let shown = |seen: Option<&Ec2Volume>| {
            Ok(seen.is_some_and(|seen| !seen.attachments.is_empty()).then_some(()))
        };
        self.describer.wait_until(wait, shown).await
    }

    /// Waits for EC2, and then for the device.
    async fn arrive(
        &self,
        id: &str,
        me: &str,
        cancel: &CancellationToken,
    ) -> Result<Device, EbsError> {
        self.wait_attached(id, me, cancel).await?;
        self.appear(id, cancel).await
    }

    /// Takes back an attachment that was seen to be stuck, and waits until the volume is free. What
    /// EC2 shows may be late: a device that somebody has says more.
    async fn take_back(
        &self,
        id: &str,
        me: &str,
        name: &Name,
        cancel: &CancellationToken,
    ) -> Result<(), EbsError> {
        let devices = self.own_devices(id, Some(&name.device())).await?;
        match self.ensure_unused(id, &devices).await {
            Err(EbsError::DeviceInUse { source, .. }) => {
                let why = format!("its attachment is stuck, and is not taken back: {source}");
                return Err(EbsError::state(id, why));
            }
            unused => unused?,
        }
        self.call_detach(id, me, Force::No).await?;
        self.wait_free(id, me, self.config.attach_timeout, Some(cancel)).await?;
        self.slots.free(id);
        Ok(())
    }

    /// The device of a volume that is attached here: waited for, and verified.
    async fn appear(&self, id: &str, cancel: &CancellationToken) -> Result<Device, EbsError> {
        let deadline = Instant::now() + self.describer.pace.device;
        let mut pause = self.describer.pace.first_look;
        loop {
            let located = self.verified(id).await;
            match located {
                Ok(Some(found)) => return Ok(found.device),
                Ok(None) | Err(EbsError::Device { .. }) if Instant::now() < deadline => {}
                Ok(None) => {
                    let source = WrongDevice::Missing(self.devices.dev.clone());
                    return Err(EbsError::Device { on: id.to_owned(), source });
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => return Err(EbsError::Cancelled),
            }
            pause = (pause * 2).min(self.describer.pace.longest_look);
        }
    }

    /// The device, if it is there and of the size that EC2 says.
    async fn verified(&self, id: &str) -> Result<Option<Located>, EbsError> {
        let Some(seen) = self.describer.look(id).await.map_err(EbsError::api(id))? else {
            return Err(EbsError::NoStorage(id.to_owned()));
        };
        let me = self.node.instance(&self.api).await?;
        let name = seen.attached_to(me).map(|here| here.device.clone()).unwrap_or_default();
        let found = self.look_for_device(id, name).await?;
        let sized = found.map(|found| found.of_size(size::bytes(seen.gib))).transpose();
        sized.map_err(|source| EbsError::Device { on: id.to_owned(), source })
    }

    /// The volume's device by all the ways that there are.
    pub(super) async fn look_for_device(
        &self,
        id: &str,
        attached_as: String,
    ) -> Result<Option<Located>, EbsError> {
        let (devices, volume) = (Arc::clone(&self.devices), id.to_owned());
        self.blocking(id, move || devices.find(&volume, &attached_as)).await
    }

    /// The volume's device by its serial number only: what says so itself.
    pub(super) async fn device_by_serial(&self, id: &str) -> Result<Option<Located>, EbsError> {
        let (devices, volume) = (Arc::clone(&self.devices), id.to_owned());
        self.blocking(id, move || devices.by_serial(&volume)).await
    }

    /// All devices with its serial number.
    pub(super) async fn devices_by_serial(&self, id: &str) -> Result<Vec<Located>, EbsError> {
        let (devices, volume) = (Arc::clone(&self.devices), id.to_owned());
        self.blocking(id, move || devices.all_by_serial(&volume)).await
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        id: &str,
        work: impl FnOnce() -> Result<T, WrongDevice> + Send + 'static,
    ) -> Result<T, EbsError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|source| EbsError::Device { on: id.to_owned(), source }),
            Err(panic) => {
                Err(EbsError::Look { dir: self.devices.sys.clone(), why: panic.to_string() })
            }
        }
    }
}

/// Elsewhere where it is at both: another instance may write to it.
pub(super) fn place(seen: &Ec2Volume, me: &str) -> Place {
    if let Some(other) = seen.attached_elsewhere(me) {
        return Place::Elsewhere(other.clone());
    }
    seen.attached_to(me).map_or(Place::Free, |here| Place::Here(here.clone()))
}

/// Refuses what another instance could attach at any moment: the file systems are for one host.
pub(super) fn refuse_shared(seen: &Ec2Volume) -> Result<(), EbsError> {
    if !seen.multi_attach {
        return Ok(());
    }
    let why = "Multi-Attach is on, so that several instances could write to its file system, which destroys it: turn it off, which an io2 volume allows (aws ec2 modify-volume --no-multi-attach-enabled), or make another from a snapshot";
    Err(EbsError::state(&seen.id, why))
}

/// Whether nothing came of an attachment, by what was seen.
const fn is_stuck(error: &EbsError) -> bool {
    matches!(
        error,
        EbsError::TooLong { .. }
            | EbsError::Device { source: WrongDevice::Missing(_) | WrongDevice::Several(_), .. }
    )
}

pub(super) fn elsewhere(id: &str, other: &Attachment) -> EbsError {
    let why = format!("it is {} as {} of {}", other.state, other.device, other.instance);
    EbsError::InUse { on: id.to_owned(), why }
}

pub(super) fn no_storage(volume: &VolumeRef) -> EbsError {
    EbsError::NoStorage(volume.handle.as_ref().map_or_else(
        || format!("with the tag {}={}", super::marks::ID, volume.id),
        ToString::to_string,
    ))
}
