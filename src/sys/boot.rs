//! Which boot this is, and whether a process is still the one that it was.
//!
//! A pid alone is reused; pid and start time together are not, within one boot.

use std::{fs, io, path::Path};

use super::errno;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's random id of this boot.
///
/// # Errors
/// When /proc cannot be read.
pub fn boot_id() -> io::Result<String> {
    let text = fs::read_to_string(BOOT_ID).map_err(errno::on("read", Path::new(BOOT_ID)))?;
    Ok(text.trim().to_owned())
}

/// When the process started, in clock ticks since boot; `None` if there is no such process.
#[must_use]
pub fn process_start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(_, start)| start)
}

/// Whether the process that started at `start_time` under this pid still runs. A zombie does not.
#[must_use]
pub fn process_alive(pid: i32, start_time: u64) -> bool {
    stat(pid).is_some_and(|(state, start)| start == start_time && !matches!(state, 'Z' | 'X' | 'x'))
}

/// State (field 3) and start time (field 22) of `/proc/<pid>/stat`, see proc_pid_stat(5).
fn stat(pid: i32) -> Option<(char, u64)> {
    // Bytes: a process may give itself a name that is not UTF-8.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The command may contain blanks and parentheses; what follows the last one is plain.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;

    #[test]
    fn a_process_is_alive_only_with_its_own_start_time() {
        let mut child = testing::Background::start("sleep", ["60"]);
        let pid = child.pid();
        let start = process_start_time(pid).unwrap();

        assert!(process_alive(pid, start));
        assert!(!process_alive(pid, start + 1));
        child.kill_without_reaping();
        testing::until("the child is a zombie", || !process_alive(pid, start));
        assert_eq!(process_start_time(pid), Some(start));
    }

    #[test]
    fn the_boot_id_is_a_stable_uuid() {
        let id = boot_id().unwrap();

        assert!(uuid::Uuid::parse_str(&id).is_ok());
        assert_eq!(boot_id().unwrap(), id);
    }
}
