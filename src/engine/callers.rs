//! Who calls: the process on the other end of a connection, and whether one that called before
//! still lives.

use std::io;

use crate::{
    sys::boot,
    volume::{CallerEpoch, transition::Inherited},
};

/// Knows the running kernel's boot.
#[derive(Debug, Clone)]
pub struct Callers {
    boot_id: String,
}

impl Callers {
    /// Reads the boot id.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read.
    pub fn new() -> io::Result<Self> {
        Ok(Self { boot_id: boot::boot_id()? })
    }

    /// The running kernel's boot id.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// The caller with that process id (0 where it is not visible from here).
    #[must_use]
    pub fn epoch(&self, pid: i32) -> CallerEpoch {
        let start_time = boot::process_start_time(pid).unwrap_or_default();
        CallerEpoch { boot_id: self.boot_id.clone(), pid, start_time }
    }

    /// Whether the process that counted is gone.
    #[must_use]
    pub fn inherited(&self, epoch: &CallerEpoch) -> Inherited {
        let lives =
            epoch.boot_id == self.boot_id && boot::process_alive(epoch.pid, epoch.start_time);
        if lives { Inherited::No } else { Inherited::Yes }
    }
}
