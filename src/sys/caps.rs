//! Which capabilities this process has. Containers and managed plugins often lack some.

use rustix::thread::{CapabilitySet, capabilities};

/// Whether ext4 can be grown while it is mounted (`EXT4_IOC_RESIZE_FS` asks for it).
#[must_use]
pub fn has_sys_resource() -> bool {
    has(CapabilitySet::SYS_RESOURCE)
}

/// Whether mount(2) and the loop ioctls are allowed.
#[must_use]
pub fn has_sys_admin() -> bool {
    has(CapabilitySet::SYS_ADMIN)
}

fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_agree_with_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        let bits = u64::from_str_radix(effective.trim(), 16).unwrap();

        assert_eq!(has_sys_resource(), bits & (1 << 24) != 0);
        assert_eq!(has_sys_admin(), bits & (1 << 21) != 0);
    }
}
