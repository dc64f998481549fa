//! Running a program to its end: what it printed, how it ended, and never for ever.

use std::{ffi::OsStr, fmt, path::Path, process::Command};

/// What a program left behind.
pub(crate) struct Outcome {
    argv: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program with these variables added to the environment; after three minutes (longer than
/// any of Docker's own deadlines) it is killed.
pub(crate) fn run<A: AsRef<OsStr>>(program: &Path, args: &[A], env: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "180"]).arg(program).args(args);
    command.envs(env.iter().copied());
    let output = command.output().expect("coreutils' timeout runs");
    Outcome {
        argv: format!("{command:?}"),
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Outcome {
    /// The standard output without its last line break, of a program that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.code == 0, "should have succeeded: {self}");
        self.stdout.trim_end().to_owned()
    }

    /// The standard error of a program that failed.
    #[track_caller]
    pub(crate) fn err(self) -> String {
        assert!(self.code != 0, "should have failed: {self}");
        self.stderr
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { argv, code, stdout, stderr } = self;
        write!(f, "{argv}\nexit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
