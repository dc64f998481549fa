//! What a full volume keeps back, so that its server can still note who its clients are.
//!
//! A note is a directory (`recovery`), and each takes a block. Where none is left, Ganesha only
//! logs it, and that client's locks are refused after its owner's death. So an ext4 that can be shared is
//! made with some reserved blocks, and mounted so that they are one group's and not root's: tasks, which
//! often are root, get none of them (one that has `CAP_SYS_RESOURCE`, as a privileged container has it, does),
//! and neither do clients, for whom Ganesha works with their own groups. Itself, it is in that group.
//!
//! xfs has nothing like it: what that means is in docs/sharing-internals.md.

use crate::spec::{Bytes, FsType};

/// The group of the server, and of nobody else. As a user, too: it is nobody.
pub const GROUP: u32 = 0x6861_7773;

/// 256 notes on the blocks that hawser makes: of each client there may be two, old and new.
const RESERVE: Bytes = Bytes::mib(1);
/// In billionths of a per cent. One whole per cent of a small volume would stay one when it is grown; of
/// less the kernel makes none.
const LARGEST_SHARE: u128 = 990_000_000;

/// How a file system of this size is made; after what its user says.
#[must_use]
pub fn mkfs_options(fs: FsType, size: Bytes, stated: &[String]) -> Vec<String> {
    match fs {
        FsType::Ext4 if !stated.iter().any(|option| option.starts_with("-m")) => {
            let exact = u128::from(RESERVE.get()) * 100_000_000_000 / u128::from(size.get().max(1));
            let share = exact.min(LARGEST_SHARE);
            vec!["-m".to_owned(), format!("0.{share:09}")]
        }
        FsType::Ext4 | FsType::Xfs => Vec::new(),
    }
}

/// How it is mounted on its owner.
#[must_use]
pub fn mount_options(fs: FsType) -> Vec<String> {
    match fs {
        FsType::Ext4 => vec![format!("resuid={GROUP}"), format!("resgid={GROUP}")],
        FsType::Xfs => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_volume_keeps_less_than_a_hundredth_and_a_large_one_a_mebibyte() {
        let of = |size| mkfs_options(FsType::Ext4, size, &[]).join(" ");

        assert_eq!(of(Bytes::mib(16)), "-m 0.990000000");
        assert_eq!(of(Bytes::mib(1000)), "-m 0.100000000");
        assert_eq!(of(Bytes::mib(100_000_000)), "-m 0.000001000");
    }

    #[test]
    fn what_the_user_says_goes() {
        for stated in ["-m 5", "-m5"] {
            let stated: Vec<_> = stated.split(' ').map(str::to_owned).collect();
            assert!(mkfs_options(FsType::Ext4, Bytes::mib(16), &stated).is_empty());
        }
        assert!(mkfs_options(FsType::Xfs, Bytes::mib(300), &[]).is_empty());
    }
}
