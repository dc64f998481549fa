//! Child processes: the one place that starts programs.
//!
//! A program is found in fixed system directories, gets its arguments as they are (there is no
//! shell), an environment of `PATH` and `LC_ALL=C` only, an empty standard input unless it is given
//! one, and a process group of its own. When its time is up, or when the caller stops waiting, the whole group is killed, so
//! that no grandchild goes on writing to a device behind our back.

mod closed;
mod detached;
mod replaced;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin},
    time::timeout,
};

pub use detached::start_alone;
pub use replaced::become_program;

const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is kept of each output; the rest is read and dropped, so that the program never blocks.
const OUTPUT_LIMIT: u64 = 64 << 10;

/// How long a killed group may take to be gone before it counts as stuck in the kernel.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// A program that hawser runs, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool(&'static str);

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 + the signal's number if a signal ended it, as in a shell.
    pub code: i32,
    /// At most 64 KiB of standard output.
    pub stdout: String,
    /// At most 64 KiB of standard error.
    pub stderr: String,
}

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("`{tool}` is not installed: it comes with the package {package}")]
    Missing {
        /// The program.
        tool: &'static str,
        /// The package that Debian, Ubuntu, RHEL and Alpine call the same.
        package: &'static str,
    },
    /// It could not be started.
    #[error("start `{argv}`")]
    Spawn {
        /// The command line.
        argv: String,
        /// Why.
        source: io::Error,
    },
    /// Its output could not be read, or its end not be awaited.
    #[error("wait for `{argv}`")]
    Wait {
        /// The command line.
        argv: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with an exit code other than 0.
    #[error("`{argv}` failed with exit code {code}: {}", last_lines(stderr))]
    Failed {
        /// The command line.
        argv: String,
        /// The exit code.
        code: i32,
        /// Its standard error.
        stderr: String,
    },
    /// It did not end in time and was killed, with its whole group.
    #[error("`{argv}` was killed: it had not ended after {after:?}")]
    TimedOut {
        /// The command line.
        argv: String,
        /// The time it had.
        after: Duration,
    },
    /// It did not end in time and survived SIGKILL: it hangs in the kernel and may still complete
    /// what it was doing. Its outcome is unknown, and the device is not free.
    #[error(
        "`{argv}` (pid {pid}) hangs in the kernel: it had not ended after {after:?} and cannot be killed"
    )]
    Stuck {
        /// The command line.
        argv: String,
        /// The process.
        pid: u32,
        /// The time it had.
        after: Duration,
    },
}

impl Tool {
    /// A program by its name, without a directory; or by an absolute path, for hawser itself.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The program's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0
    }

    /// Where it is installed.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        DIRECTORIES.iter().map(|dir| Path::new(dir).join(self.0)).find(|path| is_executable(path))
    }

    /// Runs it; every exit code other than 0 is an error.
    ///
    /// # Errors
    /// See [`ToolError`].
    ///
    /// # Cancellation
    /// Dropping the future kills the process group.
    pub async fn run<I, S>(&self, args: I, limit: Duration) -> Result<Output, ToolError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.run_with_input(args, Vec::new(), limit).await
    }

    /// As [`Tool::run`], with something to read on its standard input.
    ///
    /// # Errors
    /// See [`ToolError`].
    ///
    /// # Cancellation
    /// Dropping the future kills the process group.
    pub async fn run_with_input<I, S>(
        &self,
        args: I,
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<Output, ToolError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let (argv, output) = self.run_in_group(args, input, limit).await?;
        if output.code == 0 {
            return Ok(output);
        }
        Err(ToolError::Failed { argv, code: output.code, stderr: output.stderr })
    }

    /// Runs it; the exit code is the caller's to judge.
    ///
    /// # Errors
    /// Every [`ToolError`] but `Failed`.
    ///
    /// # Cancellation
    /// Dropping the future kills the process group.
    pub async fn run_any<I, S>(&self, args: I, limit: Duration) -> Result<Output, ToolError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.run_in_group(args, Vec::new(), limit).await.map(|(_, output)| output)
    }

    async fn run_in_group<I, S>(
        &self,
        args: I,
        input: Vec<u8>,
        limit: Duration,
    ) -> Result<(String, Output), ToolError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let argv = shown(self.0, &args);
        let path =
            self.find().ok_or(ToolError::Missing { tool: self.0, package: package_of(self.0) })?;
        let mut child =
            spawn(&path, &args, if input.is_empty() { Stdio::null() } else { Stdio::piped() })
                .map_err(|source| ToolError::Spawn { argv: argv.clone(), source })?;
        // Declared after `child`, hence dropped before it: the pid is not reaped yet, and cannot
        // have become somebody else's.
        let mut group = KillOnDrop(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
        let pid = child.id().unwrap_or_default();
        match timeout(limit, finish(&mut child, &input)).await {
            Ok(Ok(output)) => {
                group.disarm();
                Ok((argv, output))
            }
            Ok(Err(source)) => Err(ToolError::Wait { argv, source }),
            Err(_) => {
                group.kill();
                match timeout(KILL_GRACE, child.wait()).await {
                    Ok(_) => Err(ToolError::TimedOut { argv, after: limit }),
                    Err(_) => Err(ToolError::Stuck { argv, pid, after: limit }),
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that starts programs")]
fn spawn(path: &Path, args: &[OsString], input: Stdio) -> io::Result<Child> {
    tokio::process::Command::new(path)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Reads both outputs to their end and only then reaps the child: as long as it is not reaped, its
/// pid, which is the group's id, cannot be reused, and killing the group hits nobody else.
async fn finish(child: &mut Child, input: &[u8]) -> io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ((), stdout, stderr) = tokio::try_join!(
        feed(child.stdin.take(), input),
        read_capped(stdout),
        read_capped(stderr)
    )?;
    let status = child.wait().await?;
    let code = status.code().or_else(|| {
        std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal)
    });
    Ok(Output { code: code.unwrap_or(-1), stdout, stderr })
}

async fn feed(pipe: Option<ChildStdin>, input: &[u8]) -> io::Result<()> {
    let Some(mut pipe) = pipe else {
        return Ok(());
    };
    match pipe.write_all(input).await {
        // A program need not read all that it is given.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

async fn read_capped(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let Some(mut pipe) = pipe else {
        return Ok(String::new());
    };
    let mut kept = Vec::new();
    (&mut pipe).take(OUTPUT_LIMIT).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

struct KillOnDrop(Option<Pid>);

impl KillOnDrop {
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // ESRCH: nobody is left, which is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn package_of(tool: &str) -> &'static str {
    match tool {
        "mkfs.ext4" | "mke2fs" | "e2fsck" | "resize2fs" => "e2fsprogs",
        "mkfs.xfs" | "xfs_growfs" | "xfs_repair" => "xfsprogs",
        "ganesha.nfsd" => "nfs-ganesha",
        "modprobe" => "kmod",
        _ => "util-linux",
    }
}

fn shown(name: &str, args: &[OsString]) -> String {
    args.iter().fold(name.to_owned(), |line, arg| line + " " + &arg.to_string_lossy())
}

/// What a person needs of an error output: its end.
fn last_lines(stderr: &str) -> String {
    let lines: Vec<_> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests;
