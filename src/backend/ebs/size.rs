//! Sizes as EBS has them: whole GiB.

use crate::spec::Bytes;

const SHIFT: u32 = 30;

/// As many GiB as hold it.
pub(super) fn gib(size: Bytes) -> u32 {
    u32::try_from(size.get().div_ceil(1 << SHIFT)).unwrap_or(u32::MAX)
}

/// The size of so many GiB.
pub(super) fn bytes(gib: u32) -> Bytes {
    Bytes::gib(u64::from(gib))
}
