//! The NFS server of one volume: started, found again, asked, stopped.
//!
//! It outlives the daemon, and nothing about it is remembered: its files are in a directory that is
//! the volume's, and whether it runs its pid file says ([`super::process`]).
//!
//! ```text
//! <directory>/ganesha.conf   what it was started with
//!             pid            locked while it lives
//!             log, log.old   what it says; bounded by `bound_log`
//!             output         what it prints before it has a log
//! ```
//! An orderly stop ends the connections and lets go of the file system, which can then be unmounted. It
//! does not forget the clients: they are in the recovery directory, and the next server, here or on
//! another node, waits for them.
//!
//! A port is nobody's by itself: what answers on it is this server only if its own process listens there.

mod found;
mod log;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;

pub use found::{may_run, running};

use super::{
    answers,
    config::{self, ConfigError, Export},
    process::Process,
    recovery, reserve,
};
use crate::sys::{
    durable, errno,
    netns::Netns,
    process::{Tool, ToolError},
};

const GANESHA: Tool = Tool::new("ganesha.nfsd");
/// One question; the server answers it from memory.
const ANSWER: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
/// A killed process is gone as soon as the kernel has ended its calls.
const KILLED: Duration = Duration::from_secs(10);

/// Whether this node has the program.
#[must_use]
pub fn is_installed() -> bool {
    GANESHA.find().is_some()
}

/// Where the server of one volume is.
#[derive(Debug, Clone)]
pub struct Server {
    /// For its files; nobody else's.
    pub directory: PathBuf,
    /// The network that it listens in.
    pub netns: Arc<Netns>,
    /// On which port.
    pub port: u16,
}

/// Why a server was not started, or not stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The export cannot be described.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Ganesha is not installed, or cannot be executed.
    #[error(
        "share volume {volume}: {source} (sharing needs the packages nfs-ganesha and nfs-ganesha-vfs, version 4 or later, on every node that may own the volume)"
    )]
    Tool {
        /// The volume.
        volume: uuid::Uuid,
        /// Which, and why.
        source: ToolError,
    },
    /// A file cannot be read or written, or a process not be signalled.
    #[error("{op} the NFS server in {}: {source}", .directory.display())]
    Io {
        /// What was being done.
        op: &'static str,
        /// The server's directory.
        directory: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It ended instead of answering.
    #[error("share volume {volume}: the NFS server ended at its start: {said} (its log: {})", .log.display())]
    Ended {
        /// The volume.
        volume: uuid::Uuid,
        /// The last thing of weight that it said.
        said: String,
        /// The rest.
        log: PathBuf,
    },
    /// It runs and does not answer. It was ended again.
    #[error("share volume {volume}: the NFS server did not answer within {after:?} of its start (its log: {})", .log.display())]
    Silent {
        /// The volume.
        volume: uuid::Uuid,
        /// The time it had.
        after: Duration,
        /// What it says.
        log: PathBuf,
    },
    /// Not even SIGKILL ended it: it waits for its storage, which stays in use.
    #[error("stop the NFS server in {} (pid {pid}): it cannot be killed: it waits for its device", .directory.display())]
    Stuck {
        /// The server's directory.
        directory: PathBuf,
        /// The process.
        pid: i32,
    },
}

impl Server {
    /// Has it run with exactly this export, and answer. One that runs with another is stopped first:
    /// its clients pause for that.
    ///
    /// # Errors
    /// See [`ServerError`]; then none runs that this call has started.
    ///
    /// # Cancellation
    /// A server that was started goes on; repeating the call finds it.
    pub async fn ensure(&self, export: &Export, limit: Duration) -> Result<(), ServerError> {
        let deadline = Instant::now() + limit;
        let text = config::text(export, self.port)?;
        if let Some(process) = self.find()?
            && (process.is_alive() || !self.has_ended(process, KILLED).await?)
        {
            if fs::read_to_string(self.file("ganesha.conf")).is_ok_and(|present| present == text) {
                return self.until_it_answers(export, process, deadline, limit).await;
            }
            self.stop(deadline.saturating_duration_since(Instant::now())).await?;
        }
        self.prepare(export, &text).map_err(|source| self.failed("prepare", source))?;
        let process = self.start(export, deadline).await?;
        self.until_it_answers(export, process, deadline, limit).await
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn is_running(&self) -> Result<bool, ServerError> {
        Ok(self.find()?.is_some())
    }

    /// Its process, for its owner's figures.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn pid(&self) -> Result<Option<i32>, ServerError> {
        Ok(self.find()?.map(Process::pid))
    }

    /// Whether it answers.
    pub async fn answers(&self) -> bool {
        let (netns, port) = (Arc::clone(&self.netns), self.port);
        let asked =
            tokio::task::spawn_blocking(move || netns.run(|| answers::null(port, ANSWER))).await;
        matches!(asked, Ok(Ok(Ok(()))))
    }

    /// Ends it: in order if that is done within `limit`, and by SIGKILL after it. When this returns
    /// `Ok`, it holds nothing of the file system. None that runs is success.
    ///
    /// # Errors
    /// See [`ServerError`]; `Stuck` if its device does not answer.
    ///
    /// # Cancellation
    /// Safe, and safe to repeat.
    pub async fn stop(&self, limit: Duration) -> Result<(), ServerError> {
        let Some(process) = self.find()? else {
            return Ok(());
        };
        for (signal, limit) in [(Signal::TERM, limit), (Signal::KILL, KILLED)] {
            process.signal(signal).map_err(|source| self.failed("stop", source))?;
            if self.has_ended(process, limit).await? {
                return Ok(());
            }
            tracing::warn!(pid = process.pid(), ?signal, ?limit, "the NFS server goes on");
        }
        Err(ServerError::Stuck { directory: self.directory.clone(), pid: process.pid() })
    }

    /// Puts the log aside where it has grown long.
    ///
    /// # Errors
    /// When the file system refuses it.
    pub fn bound_log(&self) -> io::Result<()> {
        log::bound(&self.file("log"), &self.file("log.old"))
    }

    /// Deletes its files. None may run.
    ///
    /// # Errors
    /// With the path. None is success.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(errno::on("delete", &self.directory)),
        }
    }

    /// Its files are closed some moments after it is dead, and its lock is the last that is seen of it.
    async fn has_ended(&self, process: Process, limit: Duration) -> Result<bool, ServerError> {
        let deadline = Instant::now() + limit;
        loop {
            let holds = self.find()?.is_some_and(|found| found.pid() == process.pid());
            if !holds && !process.is_alive() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn find(&self) -> Result<Option<Process>, ServerError> {
        Process::of(&self.file("pid")).map_err(|source| self.failed("look for", source))
    }

    fn prepare(&self, export: &Export, text: &str) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(errno::on("create", &self.directory))?;
        recovery::make(&export.recovery)?;
        self.bound_log()?;
        let path = self.file("ganesha.conf");
        durable::replace(&path, text.as_bytes(), 0o600).map_err(errno::on("write", &path))
    }

    /// Starts it, and waits until it has locked its pid file.
    async fn start(&self, export: &Export, deadline: Instant) -> Result<Process, ServerError> {
        let path = |name: &str| self.file(name).display().to_string();
        let (conf, log, pid) = (path("ganesha.conf"), path("log"), path("pid"));
        let args = ["-F", "-f", &conf, "-L", &log, "-p", &pid];
        let since = log::end(&self.file("log"));
        let started = GANESHA
            .start_detached(&args, &self.netns, reserve::GROUP, &self.file("output"))
            .map_err(|source| ServerError::Tool { volume: export.volume, source })?;
        tracing::info!(volume = %export.volume, pid = started, port = self.port, "NFS server started");
        let runs = || i32::try_from(started).is_ok_and(is_running);
        loop {
            // Asked before: it locks the file and may end between the two questions.
            let ended = !runs();
            if let Some(process) = self.find()? {
                return Ok(process);
            }
            if ended || Instant::now() >= deadline {
                return Err(self.ended(export, since));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn until_it_answers(
        &self,
        export: &Export,
        process: Process,
        deadline: Instant,
        limit: Duration,
    ) -> Result<(), ServerError> {
        let since = log::last_lines(&self.file("log"));
        let is_its =
            || process.listens_on(self.port).map_err(|source| self.failed("look for", source));
        loop {
            let alive = process.is_alive();
            // Another volume's server may have the port, and this one not have found that out yet.
            if self.answers().await && is_its()? {
                return Ok(());
            }
            if !alive {
                return Err(self.ended(export, since));
            }
            if Instant::now() >= deadline {
                self.stop(Duration::ZERO).await?;
                let (volume, log) = (export.volume, self.file("log"));
                return Err(ServerError::Silent { volume, after: limit, log });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn ended(&self, export: &Export, since: u64) -> ServerError {
        let log = self.file("log");
        let said = log::reason(&log, since, &self.file("output"));
        ServerError::Ended { volume: export.volume, said, log }
    }

    fn failed(&self, op: &'static str, source: io::Error) -> ServerError {
        ServerError::Io { op, directory: self.directory.clone(), source }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn is_running(pid: i32) -> bool {
    use crate::sys::boot;
    boot::process_start_time(pid).is_some_and(|start| boot::process_alive(pid, start))
}

#[cfg(test)]
mod tests;
