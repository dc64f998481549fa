//! A process that the kernel's write-back waits for: it must not wait for that write-back itself.
//!
//! When memory is short the kernel writes dirty pages of a remote volume, which need this process; were
//! it to wait for free memory, or for a page of its own program, the two would wait for each other.

use std::{fs, io};

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::configure_io_flusher_behavior,
};
use serde::{Deserialize, Serialize};

/// Later to be killed than any task; the daemon has the same by its unit.
const OOM_SCORE: &str = "-900";

/// What could be had. Containers and managed plugins often lack the capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// Its memory is never paged out (`CAP_IPC_LOCK`, or a limit that allows it).
    pub locked: bool,
    /// Its allocations wait for no write-back (`CAP_SYS_RESOURCE`; Linux 5.6).
    pub io_flusher: bool,
    /// It is among the last to be killed when memory runs out (`CAP_SYS_RESOURCE`).
    pub oom: bool,
}

/// Protects this process. Of its threads, this one and those that it starts from now on.
#[must_use]
pub fn protect() -> Protection {
    let told = |what: &str, result: io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("{what}: {error}; under memory pressure this process may be slow");
            false
        }
    };
    Protection {
        locked: told("cannot lock memory", lock().map_err(Into::into)),
        io_flusher: told(
            "cannot allocate apart from write-back (PR_SET_IO_FLUSHER)",
            configure_io_flusher_behavior(true).map_err(Into::into),
        ),
        oom: told(
            "cannot ask to be killed last (oom_score_adj)",
            fs::File::options()
                .write(true)
                .open("/proc/self/oom_score_adj")
                .and_then(|mut file| io::Write::write_all(&mut file, OOM_SCORE.as_bytes())),
        ),
    }
}

/// The program and what it has so far, at once; what it allocates later, as it is first used: the stack
/// of each thread would else be taken whole.
fn lock() -> rustix::io::Result<()> {
    mlockall(MlockAllFlags::CURRENT)?;
    mlockall(MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own: the flag is the thread's. Where the capability is not there, that this is
    /// told, and no error.
    #[test]
    fn a_process_is_protected_as_far_as_its_capabilities_allow() {
        let capable = super::super::caps::has_sys_resource();
        let before = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        let protection = std::thread::spawn(move || {
            let done = protect();
            // Threads have it from the one that started them. To ask needs the capability, too.
            let child = std::thread::spawn(rustix::process::is_io_flusher).join().unwrap();
            assert_eq!(child.ok(), capable.then_some(true));
            done
        });
        let protection = protection.join().unwrap();
        assert_eq!((protection.io_flusher, protection.oom), (capable, capable));
        rustix::mm::munlockall().unwrap();
        if protection.oom {
            let mut file =
                fs::File::options().write(true).open("/proc/self/oom_score_adj").unwrap();
            io::Write::write_all(&mut file, before.trim().as_bytes()).unwrap();
        }
    }
}
