//! The process of a server, found again without a memory of it.
//!
//! Ganesha locks its pid file (fcntl(2)) before it does anything else, for as long as it lives. So who
//! has the lock is the server, and nobody else can be: no name is looked for, no pid that may be another
//! process's by now is believed, and a second server of the same volume ends by itself.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use rustix::{
    io::Errno,
    process::{Flock, FlockType, Pid, Signal, fcntl_getlk, kill_process},
};

use crate::sys::{boot, errno};

/// A process that ran when it was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: i32,
    start_time: u64,
}

impl Process {
    /// Who has the lock of this pid file.
    ///
    /// # Errors
    /// When that cannot be asked: then it is not known, which is not "nobody".
    pub(super) fn of(pid_file: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(pid_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(errno::on("open", pid_file))?,
        };
        loop {
            let Some(pid) = holder(&file).map_err(errno::on("ask for the lock of", pid_file))?
            else {
                return Ok(None);
            };
            let start_time = boot::process_start_time(pid);
            // Still the holder: then the start time is the holder's, and not of another process that
            // got its pid in between.
            if let Some(start_time) = start_time
                && holder(&file)? == Some(pid)
            {
                return Ok(Some(Self { pid, start_time }));
            }
        }
    }

    pub(super) const fn pid(self) -> i32 {
        self.pid
    }

    pub(super) fn is_alive(self) -> bool {
        boot::process_alive(self.pid, self.start_time)
    }

    /// Whether it is what takes the connections to this port of its network; one that has ended does not.
    ///
    /// # Errors
    /// When that cannot be asked.
    pub(super) fn listens_on(self, port: u16) -> io::Result<bool> {
        let sockets = self.listeners(port)?;
        let directory = format!("/proc/{}/fd", self.pid);
        let open = match fs::read_dir(&directory) {
            Err(_) if !self.is_alive() => return Ok(false),
            listed => listed.map_err(errno::on("list", directory.as_ref()))?,
        };
        // What was closed meanwhile has no link any more.
        let links = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        Ok(links
            .into_iter()
            .any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
            && self.is_alive())
    }

    /// The sockets that listen on this port of its network, as `/proc/PID/fd` calls them.
    fn listeners(self, port: u16) -> io::Result<Vec<String>> {
        /// `TCP_LISTEN`, as proc(5) shows it.
        const LISTENS: &str = "0A";
        let mut sockets = Vec::new();
        for table in ["tcp", "tcp6"] {
            let path = format!("/proc/{}/net/{table}", self.pid);
            let text = match fs::read_to_string(&path) {
                // A kernel without IPv6, or a process that has ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) if !self.is_alive() => continue,
                read => read.map_err(errno::on("read", path.as_ref()))?,
            };
            for line in text.lines().skip(1) {
                let fields: Vec<_> = line.split_whitespace().collect();
                let [_, local, _, state, _, _, _, _, _, inode, ..] = *fields else { continue };
                let at = local.rsplit(':').next().and_then(|hex| u16::from_str_radix(hex, 16).ok());
                if at == Some(port) && state == LISTENS {
                    sockets.push(format!("socket:[{inode}]"));
                }
            }
        }
        Ok(sockets)
    }

    /// Sends it a signal; one that has ended has no need of it.
    pub(super) fn signal(self, signal: Signal) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) else {
            return Ok(());
        };
        match kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn holder(file: &File) -> io::Result<Option<i32>> {
    match fcntl_getlk(file, &Flock::from(FlockType::WriteLock))? {
        None => Ok(None),
        Some(lock) => match lock.pid {
            Some(pid) => Ok(Some(pid.as_raw_nonzero().get())),
            // Of a process that this pid namespace does not have.
            None => Err(io::Error::other("a process outside of this pid namespace has it")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing;

    const LOCK: &str = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); \
                        fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(1000)";

    #[test]
    fn it_is_who_has_the_lock_whatever_the_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        assert_eq!(Process::of(&path).unwrap(), None);
        File::create(&path).unwrap();
        assert_eq!(Process::of(&path).unwrap(), None);

        let file = path.display().to_string();
        let mut child = testing::Background::start("python3", ["-c", LOCK, &file]);
        testing::until("it has the lock", || Process::of(&path).unwrap().is_some());
        let found = Process::of(&path).unwrap().unwrap();
        assert_eq!(found.pid(), child.pid());
        assert!(found.is_alive());

        child.kill_without_reaping();
        testing::until("the lock is free", || Process::of(&path).unwrap().is_none());
        assert!(!found.is_alive());
        found.signal(Signal::TERM).unwrap();
        assert!(!found.listens_on(1).unwrap());
    }

    #[test]
    fn a_port_is_of_the_process_that_listens_on_it_and_of_no_other() {
        let me = boot::process_start_time(std::process::id().cast_signed()).unwrap();
        let me = Process { pid: std::process::id().cast_signed(), start_time: me };
        let child = testing::Background::start("sleep", ["1000"]);
        let start_time = boot::process_start_time(child.pid()).unwrap();
        let child_process = Process { pid: child.pid(), start_time };
        for address in ["127.0.0.1:0", "[::]:0"] {
            let listener = std::net::TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();

            assert!(me.listens_on(port).unwrap(), "{address}");
            assert!(!child_process.listens_on(port).unwrap(), "{address}");

            drop(listener);
            assert!(!me.listens_on(port).unwrap(), "{address}");
        }
    }
}
