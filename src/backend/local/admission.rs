//! Whether there is room for a volume: decided before anything is made, with the numbers.
//!
//! A thick volume takes its space at once; a thin one promises it. After either, what thin volumes
//! still may claim must not exceed `overcommit` times what is left above the margin.

use crate::spec::{Bytes, Provision};

/// What there is, and what was promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pool {
    /// Free space in the directory's file system.
    pub(super) available: Bytes,
    /// What thin volumes may still claim: their sizes less what they take already.
    pub(super) promised: Bytes,
    /// Free space that is never given away.
    pub(super) margin: Bytes,
    /// The factor on promises.
    pub(super) overcommit: f64,
}

/// There is no room for a volume, or for its growth.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoRoom {
    /// The space itself is missing.
    #[error(
        "it needs {needed} and only {} can be given ({} free, of which {margin} are kept): remove or purge volumes, or add space",
        usable.rounded(),
        available.rounded()
    )]
    Thick {
        /// What it needs.
        needed: Bytes,
        /// What can be given.
        usable: Bytes,
        /// What is free.
        available: Bytes,
        /// What is kept.
        margin: Bytes,
    },
    /// More would be promised than the configuration allows.
    #[error(
        "thin volumes would promise {} more than they take now, and {} is allowed ({overcommit} times the {} that can be given): remove or purge volumes, add space, or raise backends.local.overcommit",
        promised.rounded(),
        limit.rounded(),
        usable.rounded()
    )]
    Thin {
        /// All promises, with this one.
        promised: Bytes,
        /// What may be promised.
        limit: Bytes,
        /// What can be given.
        usable: Bytes,
        /// The configured factor.
        overcommit: f64,
    },
}

/// Decides about `needed` more bytes.
pub(super) fn admit(pool: Pool, provision: Provision, needed: Bytes) -> Result<(), NoRoom> {
    let usable = pool.available.saturating_sub(pool.margin);
    let (taken, promised) = match provision {
        Provision::Thick => (needed, pool.promised),
        Provision::Thin => (Bytes::ZERO, pool.promised.saturating_add(needed)),
    };
    if taken > usable {
        let Pool { available, margin, .. } = pool;
        return Err(NoRoom::Thick { needed, usable, available, margin });
    }
    let left = usable.saturating_sub(taken);
    let limit = scale(left, pool.overcommit);
    if promised > limit {
        return Err(NoRoom::Thin { promised, limit, usable: left, overcommit: pool.overcommit });
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a limit need not be exact, the factor is checked to be positive, and `as` saturates"
)]
fn scale(bytes: Bytes, factor: f64) -> Bytes {
    Bytes::new((bytes.get() as f64 * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: Pool = Pool {
        available: Bytes::gib(10),
        promised: Bytes::gib(3),
        margin: Bytes::gib(1),
        overcommit: 1.0,
    };

    #[test]
    fn a_thick_volume_must_fit_above_the_margin_and_the_promises() {
        assert_eq!(admit(POOL, Provision::Thick, Bytes::gib(6)), Ok(()));
        assert!(matches!(
            admit(POOL, Provision::Thick, Bytes::gib(7)),
            Err(NoRoom::Thin { limit, .. }) if limit == Bytes::gib(2)
        ));
        assert_eq!(
            admit(POOL, Provision::Thick, Bytes::gib(10)),
            Err(NoRoom::Thick {
                needed: Bytes::gib(10),
                usable: Bytes::gib(9),
                available: Bytes::gib(10),
                margin: Bytes::gib(1),
            })
        );
    }

    #[test]
    fn thin_volumes_may_promise_as_much_as_the_ratio_allows() {
        assert_eq!(admit(POOL, Provision::Thin, Bytes::gib(6)), Ok(()));
        assert!(admit(POOL, Provision::Thin, Bytes::gib(7)).is_err());
        let generous = Pool { overcommit: 2.0, ..POOL };
        assert_eq!(admit(generous, Provision::Thin, Bytes::gib(15)), Ok(()));
        let error = admit(generous, Provision::Thin, Bytes::gib(16)).unwrap_err();
        assert!(error.to_string().contains("19GiB"), "{error}");
        assert!(error.to_string().contains("18GiB"), "{error}");
    }
}
