//! The programs that are run: known by their pids, and ended by them alone.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// A child that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts a program; its output goes to a file.
    #[track_caller]
    pub(crate) fn start(program: &str, package: &str, arguments: &[&str], output: &Path) -> Self {
        let output = match File::options().create(true).append(true).open(output) {
            Ok(file) => file,
            Err(error) => panic!("{} cannot be opened: {error}", output.display()),
        };
        let errors = output.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{}", missing(program, package, &error)),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(program: &str, package: &str, arguments: &[&str]) {
    match command(program).args(arguments).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{program} {arguments:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => panic!("{}", missing(program, package, &error)),
    }
}

pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    command(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Refuses with what to install.
#[track_caller]
pub(crate) fn require(program: &str, package: &str) {
    let directories =
        ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    if !directories.iter().any(|directory| Path::new(directory).join(program).exists()) {
        panic!("{}", missing(program, package, &"it is not installed"));
    }
}

fn missing(program: &str, package: &str, why: &dyn std::fmt::Display) -> String {
    format!(
        "this test needs {program}, and it cannot be started ({why}): run scripts/install-deps.sh, or \
         install the package {package}"
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "a harness for tests: hawser's own code is under test"
)]
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LC_ALL", "C");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(
        expected = "run scripts/install-deps.sh, or install the package no-such-package"
    )]
    fn a_missing_program_fails_the_test_and_says_what_to_install() {
        require("no-such-program", "no-such-package");
    }
}
