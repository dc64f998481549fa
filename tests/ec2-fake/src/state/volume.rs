//! A volume and its attachment.
//!
//! ```text
//! Creating ─▶ Ready ─▶ Deleting ─▶ (gone)        attachment:  Attaching ─▶ Attached ─▶ Detaching ─▶ (none)
//!     └─────▶ Error                                               └───────────────────────▲
//! ```
//! `available` and `in-use` are both `Ready`: without and with an attachment.

use jiff::Timestamp;

use super::{Bound, Effect, Performance, Tags};

/// A volume of our own account.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) gib: u32,
    pub(crate) performance: Performance,
    pub(crate) encrypted: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) zone: String,
    pub(crate) snapshot: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) created: Timestamp,
    pub(crate) phase: VolumePhase,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) modification: Option<Modification>,
    /// Whether an effect on the image is under way.
    pub(crate) working: bool,
    /// Before this time describing does not find it.
    pub(crate) visible_from: Timestamp,
    /// Until the time describing shows this.
    pub(crate) shown: Option<(Timestamp, VolumePhase, Option<Attachment>)>,
}

/// Where a volume is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VolumePhase {
    Creating { due: Timestamp },
    Ready,
    Deleting { due: Timestamp },
    Error,
}

/// The one attachment that a volume can have.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub(crate) instance: String,
    /// `/dev/xvdba`, as it was asked for.
    pub(crate) device: String,
    pub(crate) since: Timestamp,
    pub(crate) phase: AttachPhase,
    /// The device, once there is one.
    pub(crate) bound: Option<Bound>,
    /// Whether an effect is under way.
    pub(crate) working: bool,
}

/// Where an attachment is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachPhase {
    Attaching { due: Timestamp },
    Attached,
    Detaching { due: Timestamp, force: bool },
}

/// The last modification of a volume.
#[derive(Debug, Clone)]
pub(crate) struct Modification {
    pub(crate) phase: ModifyPhase,
    pub(crate) started: Timestamp,
    pub(crate) from: (u32, Performance),
    pub(crate) to: (u32, Performance),
}

/// Where a modification is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModifyPhase {
    Modifying { due: Timestamp },
    Optimizing { since: Timestamp, due: Timestamp },
    Completed { at: Timestamp },
}

impl Volume {
    /// What describing shows: the state's name and the attachment.
    pub(crate) fn view(&self, now: Timestamp) -> (&'static str, Option<&Attachment>) {
        let (phase, attachment) = match &self.shown {
            Some((until, phase, attachment)) if now < *until => (phase, attachment),
            _ => (&self.phase, &self.attachment),
        };
        (phase.name(attachment.as_ref()), attachment.as_ref())
    }

    /// The state's name as it is.
    pub(crate) fn state(&self) -> &'static str {
        self.phase.name(self.attachment.as_ref())
    }

    /// Lets describing show what is now for a while longer; what it shows already stays.
    pub(crate) fn keep_showing(&mut self, now: Timestamp, until: Timestamp) {
        let over = self.shown.as_ref().is_none_or(|(until, ..)| *until <= now);
        self.shown = match self.shown.take() {
            Some(shown) if !over => Some(shown),
            _ => (until > now).then(|| (until, self.phase, self.attachment.clone())),
        };
    }

    pub(crate) fn bound(&self) -> Option<&Bound> {
        self.attachment.as_ref()?.bound.as_ref()
    }
}

impl VolumePhase {
    fn name(self, attachment: Option<&Attachment>) -> &'static str {
        match self {
            Self::Creating { .. } => "creating",
            Self::Ready if attachment.is_some() => "in-use",
            Self::Ready => "available",
            Self::Deleting { .. } => "deleting",
            Self::Error => "error",
        }
    }
}

impl Attachment {
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            AttachPhase::Attaching { .. } => "attaching",
            AttachPhase::Attached => "attached",
            AttachPhase::Detaching { .. } => "detaching",
        }
    }
}

impl Modification {
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            ModifyPhase::Modifying { .. } => "modifying",
            ModifyPhase::Optimizing { .. } => "optimizing",
            ModifyPhase::Completed { .. } => "completed",
        }
    }

    /// In percent.
    pub(crate) fn progress(&self, now: Timestamp) -> i64 {
        match self.phase {
            ModifyPhase::Modifying { .. } => 0,
            ModifyPhase::Completed { .. } => 100,
            ModifyPhase::Optimizing { since, due } => {
                let whole = (due.as_millisecond() - since.as_millisecond()).max(1);
                let done = now.as_millisecond() - since.as_millisecond();
                (done * 100 / whole).clamp(0, 99)
            }
        }
    }
}

impl Volume {
    pub(super) fn image_due(&self) -> Option<Timestamp> {
        match (self.phase, &self.modification) {
            (VolumePhase::Creating { due } | VolumePhase::Deleting { due }, _) => Some(due),
            (VolumePhase::Ready, Some(modification)) => match modification.phase {
                ModifyPhase::Modifying { due } | ModifyPhase::Optimizing { due, .. } => Some(due),
                ModifyPhase::Completed { .. } => None,
            },
            (VolumePhase::Ready | VolumePhase::Error, _) => None,
        }
    }

    /// What is due of a modification.
    pub(super) fn modify_step(&mut self, now: Timestamp) -> Option<Effect> {
        // Between the device's appearing and its being known here it cannot be grown.
        if self.attachment.as_ref().is_some_and(|attachment| attachment.working) {
            return None;
        }
        let bound = self.bound().cloned();
        let modification = self.modification.as_mut()?;
        match modification.phase {
            ModifyPhase::Modifying { due } if due <= now => {
                self.working = true;
                Some(Effect::Grow { volume: self.id.clone(), bound, gib: modification.to.0 })
            }
            ModifyPhase::Optimizing { due, .. } if due <= now => {
                modification.phase = ModifyPhase::Completed { at: now };
                None
            }
            ModifyPhase::Modifying { .. }
            | ModifyPhase::Optimizing { .. }
            | ModifyPhase::Completed { .. } => None,
        }
    }
}
