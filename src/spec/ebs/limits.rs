//! What EBS takes per volume type: sizes, IOPS, throughput.
//!
//! AWS's documentation of CreateVolume, and for the ratios that of the types:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html>,
//! <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>,
//! <https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html>,
//! <https://docs.aws.amazon.com/ebs/latest/userguide/provisioned-iops.html>.
//! Regions and instances may allow less; then EC2 refuses, and its error is passed on.

use std::{fmt, ops::RangeInclusive};

use super::{EbsSpec, EbsType};
use crate::spec::{
    Bytes, Key, SpecError,
    error::{Shown, Why},
};

/// What messages cite.
pub(super) const SOURCE: &str =
    "https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html";

/// What a volume type takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EbsLimits {
    /// Its size, in GiB.
    pub size: RangeInclusive<u64>,
    /// Its provisioned IOPS, if it takes any.
    pub iops: Option<IopsLimits>,
    /// Its provisioned throughput, if it takes any.
    pub throughput: Option<ThroughputLimits>,
}

/// What a volume type takes as IOPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IopsLimits {
    /// How many.
    pub range: RangeInclusive<u32>,
    /// At most so many for each GiB of the volume; the least of the range is always allowed.
    pub per_gib: u32,
    /// What a volume has of which none are stated; `None` if they must be.
    pub default: Option<u32>,
}

/// What a volume type takes as throughput.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThroughputLimits {
    /// How much, in MiB/s.
    pub range: RangeInclusive<u32>,
    /// One MiB/s needs so many IOPS.
    pub iops_each: u32,
    /// What a volume has of which none is stated.
    pub default: u32,
}

impl EbsType {
    /// What EBS takes for this type.
    #[must_use]
    pub const fn limits(self) -> EbsLimits {
        let (size, iops, throughput) = match self {
            Self::Gp3 => (
                1..=65_536,
                Some(IopsLimits { range: 3_000..=80_000, per_gib: 500, default: Some(3_000) }),
                Some(ThroughputLimits { range: 125..=2_000, iops_each: 4, default: 125 }),
            ),
            Self::Gp2 => (1..=16_384, None, None),
            Self::Io2 => (
                4..=65_536,
                Some(IopsLimits { range: 100..=256_000, per_gib: 1_000, default: None }),
                None,
            ),
            Self::Io1 => (
                4..=16_384,
                Some(IopsLimits { range: 100..=64_000, per_gib: 50, default: None }),
                None,
            ),
            Self::St1 | Self::Sc1 => (125..=16_384, None, None),
            Self::Standard => (1..=1_024, None, None),
        };
        EbsLimits { size, iops, throughput }
    }
}

impl EbsSpec {
    /// Whether EBS takes this with a volume of `size`.
    ///
    /// # Errors
    /// The first limit that is broken, and what to write instead.
    pub fn check(&self, size: Bytes) -> Result<(), SpecError> {
        let limits = self.volume_type.limits();
        let gib = size.get().div_ceil(Bytes::gib(1).get());
        self.check_size(&limits, gib)?;
        self.check_iops(&limits, gib)?;
        self.check_throughput(&limits)
    }

    /// The IOPS that it is made with: those stated, or the type's own where it takes any.
    pub(in crate::spec) fn effective_iops(&self) -> Option<u32> {
        self.iops.or_else(|| self.volume_type.limits().iops.and_then(|limits| limits.default))
    }

    /// The same of the throughput.
    pub(in crate::spec) fn effective_throughput(&self) -> Option<u32> {
        let limits = self.volume_type.limits().throughput;
        self.throughput.or_else(|| limits.map(|limits| limits.default))
    }

    fn check_size(&self, limits: &EbsLimits, gib: u64) -> Result<(), SpecError> {
        let volume_type = self.volume_type;
        if limits.size.contains(&gib) {
            return Ok(());
        }
        let (least, most) = (Bytes::gib(*limits.size.start()), Bytes::gib(*limits.size.end()));
        let instead = if gib < *limits.size.start() {
            format!("write size={least} or more, or another type, such as gp3")
        } else if most < Bytes::gib(65_536) {
            format!("write size={most} or less, or type=gp3 or io2, which take 64TiB")
        } else {
            format!("write size={most} or less")
        };
        let why = format!("{volume_type} takes {least} to {most} ({SOURCE}): {instead}");
        Err(broken(Key::Size, &Bytes::gib(gib), why))
    }

    fn check_iops(&self, limits: &EbsLimits, gib: u64) -> Result<(), SpecError> {
        let volume_type = self.volume_type;
        let (limits, iops) = match (&limits.iops, self.iops) {
            (None, None) => return Ok(()),
            (None, Some(iops)) => {
                let why = format!(
                    "iops needs type=gp3, io1 or io2; the type is {volume_type}: remove it, or \
                     state one of these types"
                );
                return Err(broken(Key::Iops, &iops, why));
            }
            (Some(limits), None) if limits.default.is_none() => {
                let (least, most) = limits.within(gib);
                let why = format!(
                    "it needs iops ({SOURCE}): add iops=N, {least} to {most} at {gib}GiB, or \
                     write type=gp3, which has 3000 without"
                );
                return Err(broken(Key::Type, &volume_type, why));
            }
            (Some(_), None) => return Ok(()),
            (Some(limits), Some(iops)) => (limits, iops),
        };
        let (least, most) = limits.within(gib);
        if (least..=most).contains(&iops) {
            return Ok(());
        }
        let why = if iops > most && iops <= *limits.range.end() {
            let needed = iops.div_ceil(limits.per_gib);
            format!(
                "{volume_type} takes at most {} for each GiB, {most} at {gib}GiB ({SOURCE}): \
                 write iops={most} or less, or size={needed}GiB or more",
                limits.per_gib
            )
        } else {
            let range = &limits.range;
            format!(
                "{volume_type} takes {} to {} ({SOURCE}): write iops={least} to {most}{}",
                range.start(),
                range.end(),
                if iops < least && volume_type == EbsType::Gp3 {
                    ", or remove it: gp3 has 3000 without"
                } else {
                    ""
                }
            )
        };
        Err(broken(Key::Iops, &iops, why))
    }

    fn check_throughput(&self, limits: &EbsLimits) -> Result<(), SpecError> {
        let Some(throughput) = self.throughput else {
            return Ok(());
        };
        let volume_type = self.volume_type;
        let Some(limits) = &limits.throughput else {
            let why =
                format!("throughput needs type=gp3; the type is {volume_type}: remove one of them");
            return Err(broken(Key::Throughput, &throughput, why));
        };
        let range = &limits.range;
        if !range.contains(&throughput) {
            let why = format!(
                "{volume_type} takes {} to {} MiB/s ({SOURCE}): write one of these",
                range.start(),
                range.end()
            );
            return Err(broken(Key::Throughput, &throughput, why));
        }
        let iops = self.effective_iops().unwrap_or_default();
        if throughput > iops / limits.iops_each {
            let why = format!(
                "{volume_type} takes at most 1 MiB/s for each {} IOPS, {} at {iops} ({SOURCE}): \
                 write throughput={} or less, or iops={} or more",
                limits.iops_each,
                iops / limits.iops_each,
                iops / limits.iops_each,
                throughput * limits.iops_each
            );
            return Err(broken(Key::Throughput, &throughput, why));
        }
        Ok(())
    }
}

impl IopsLimits {
    /// The least and the most of a volume of that size.
    fn within(&self, gib: u64) -> (u32, u32) {
        let by_size = gib.saturating_mul(self.per_gib.into()).try_into().unwrap_or(u32::MAX);
        let (least, most) = (*self.range.start(), *self.range.end());
        (least, by_size.clamp(least, most))
    }
}

fn broken(key: Key, value: &impl fmt::Display, why: impl Into<Why>) -> SpecError {
    SpecError::Value {
        key: Shown::new(key.as_str()),
        value: Shown::new(&value.to_string()),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests;
