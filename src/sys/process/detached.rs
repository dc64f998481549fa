//! Programs that go on when hawser ends: servers that tasks on other nodes depend on.
//!
//! Such a program has a session of its own, so that no signal to hawser's group or terminal reaches it.
//! It may be in the path of the kernel's own write-back, when memory is short and the way to free
//! some leads through it: so it is an I/O flusher (prctl(2), `PR_SET_IO_FLUSHER`), and the last that
//! is killed for its memory. Both want `CAP_SYS_RESOURCE`; without it the program is started all the
//! same, and a warning says what it lacks.

use std::{ffi::OsStr, fs::File, io, path::Path, process::Stdio};

use rustix::{
    process::{Gid, configure_io_flusher_behavior, setsid},
    thread::set_thread_groups,
};

use super::{PATH, Tool, ToolError, closed, package_of, shown};
use crate::sys::netns::Netns;

/// What the out-of-memory killer is told, from -1000 (never) to 1000: others go first.
const OOM_SCORE: &str = "-900";

impl Tool {
    /// Starts it in a namespace, in this group beside its own, without unix sockets (see
    /// `closed`), and does not wait. What it prints goes to a file, which is emptied before. The answer is its pid; it is reaped by the runtime if it ends before hawser does.
    ///
    /// # Errors
    /// `Missing` and `Spawn` of [`ToolError`].
    pub fn start_detached(
        &self,
        args: &[&str],
        netns: &Netns,
        group: u32,
        output: &Path,
    ) -> Result<u32, ToolError> {
        let args: Vec<_> = args.iter().map(Into::into).collect();
        let argv = shown(self.0, &args);
        let path =
            self.find().ok_or(ToolError::Missing { tool: self.0, package: package_of(self.0) })?;
        let spawn = || -> io::Result<u32> {
            let output = File::create(output)?;
            #[expect(clippy::disallowed_methods, reason = "a place that starts programs")]
            let mut command = tokio::process::Command::new(path);
            command
                .args(&args)
                .env_clear()
                .env("PATH", PATH)
                .env("LC_ALL", "C")
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output);
            netns.hold(command.as_std_mut())?;
            stand_alone(&mut command);
            confine(&mut command, group)?;
            Ok(command.spawn()?.id().unwrap_or_default())
        };
        let pid = spawn().map_err(|source| ToolError::Spawn { argv, source })?;
        protect(self.0, pid);
        Ok(pid)
    }
}

/// Starts hawser's own program as another process, and does not wait. What it logs goes where this
/// process's log goes, and it protects itself ([`crate::sys::protect`]). It is reaped by the runtime if it
/// ends before hawser does.
///
/// # Errors
/// When it cannot be started.
pub fn start_alone(program: &Path, args: &[&OsStr]) -> io::Result<u32> {
    #[expect(clippy::disallowed_methods, reason = "a place that starts programs")]
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    stand_alone(&mut command);
    Ok(command.spawn()?.id().unwrap_or_default())
}

fn stand_alone(command: &mut tokio::process::Command) {
    #[expect(unsafe_code, reason = "a child leaves hawser's session between fork and exec")]
    // SAFETY: between fork and exec only what is safe in a signal handler may be called: these are
    // two system calls, and neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            // Refused without the capability: `protect` says so.
            let _ = configure_io_flusher_behavior(true);
            Ok(())
        });
    }
}

fn confine(command: &mut tokio::process::Command, group: u32) -> io::Result<()> {
    let filter = closed::filter()?;
    #[expect(unsafe_code, reason = "a child gives rights up between fork and exec")]
    // SAFETY: between fork and exec only what is safe in a signal handler may be called: these are
    // three system calls, and neither allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            set_thread_groups(&[Gid::from_raw(group)])?;
            closed::apply(&filter)
        });
    }
    Ok(())
}

fn protect(tool: &str, pid: u32) {
    let set = File::options()
        .write(true)
        .open(format!("/proc/{pid}/oom_score_adj"))
        .and_then(|mut file| io::Write::write_all(&mut file, OOM_SCORE.as_bytes()));
    if let Err(error) = set {
        tracing::warn!(
            tool,
            pid,
            %error,
            "not protected when memory is short (give hawser CAP_SYS_RESOURCE): it may be killed, or \
             wait for memory that only it could free"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{caps, testing};

    #[tokio::test]
    async fn it_has_its_own_session_and_network_and_what_it_prints_is_kept() {
        let world = testing::World::alone();
        let path = world.path("netns");
        let netns = Netns::ensure(&path).unwrap();
        let output = world.path("output");
        let script = "ps -o sid= -p $$; readlink /proc/self/ns/net; cat /proc/self/oom_score_adj; \
                      grep ^Groups: /proc/self/status; \
                      python3 -c 'import socket; socket.socket(); socket.socket(socket.AF_UNIX)' 2>&1 \
                      | tail -n 1; echo last >&2; exec sleep 1000";

        let pid = Tool::new("sh").start_detached(&["-c", script], &netns, 4711, &output).unwrap();

        let read = || std::fs::read_to_string(&output).unwrap();
        testing::until("it has printed", || read().ends_with("last\n"));
        let printed = read();
        let lines: Vec<_> = printed.lines().map(str::trim).collect();
        let inside = netns.run(|| std::fs::read_link("/proc/thread-self/ns/net")).unwrap();
        assert_eq!(lines[0], pid.to_string(), "its session is not its own");
        assert_eq!(Path::new(lines[1]), inside.unwrap());
        assert_eq!(lines[3].split_whitespace().last(), Some("4711"));
        assert!(lines[4].ends_with("Address family not supported by protocol"), "{printed}");
        // It may print before it is protected.
        let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        assert_eq!(score.trim() == OOM_SCORE, caps::has_sys_resource(), "{score}");

        let pid = i32::try_from(pid).unwrap();
        let start = crate::sys::boot::process_start_time(pid).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        testing::until("it has ended", || !crate::sys::boot::process_alive(pid, start));
        Netns::forget(&path).unwrap();
    }
}
