//! A network namespace of hawser's own, which lives as long as its name.
//!
//! Loopback is not private: whoever has the host's network, as many containers have, reaches a server
//! on the host's 127.0.0.1. What listens in here is reached only by what was put in here.
//!
//! It is kept by a bind mount of the namespace itself on a file, as `ip netns` does it: no process has
//! to live for it, and another daemon finds it by its path. The only interface is loopback, and it is
//! up: NFS-Ganesha wants no other as long as it is not given an address to listen on.
//!
//! A thread is in a namespace, not a process. So work is done on a thread that is made for it and ends
//! with it, never on one of tokio's. A socket stays in the namespace that it was made in, whoever uses
//! it: a listener that [`Netns::run`] made can be given to tokio.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{fs::OpenOptionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::{
    fs::{FlockOperation, flock, fstatfs},
    io::Errno,
    ioctl::{Opcode, Setter, ioctl},
    mount::UnmountFlags,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};

use super::{errno, mount};

/// What fstatfs(2) says of a namespace's file: `NSFS_MAGIC`.
const NSFS: u64 = 0x6e73_6673;
/// The namespace of the thread that asks.
const OWN: &str = "/proc/thread-self/ns/net";
/// `SIOCSIFFLAGS`, see netdevice(7).
const SET_FLAGS: Opcode = 0x8914;
/// `IFF_UP`, which is all that loopback needs to have its addresses.
const UP: i16 = 1;

/// `struct ifreq` where it holds flags.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// The namespace, held open.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
}

impl Netns {
    /// Opens the one that is kept at `path`, or makes it there. Who calls at the same time gets the
    /// same one.
    ///
    /// # Errors
    /// With the operation and the path. `EPERM` without `CAP_SYS_ADMIN`.
    pub fn ensure(path: &Path) -> io::Result<Self> {
        // What the namespace is then bound on: where a crash left it, it is used.
        match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(errno::on("create", path)(error));
            }
            Ok(_) | Err(_) => {}
        }
        let file = File::open(path).map_err(errno::on("open", path))?;
        if !is_namespace(&file)? {
            flock(&file, FlockOperation::LockExclusive).map_err(errno::on("lock", path))?;
            // Another one may have made it while this one waited for the lock.
            if Self::open(path).is_err() {
                on_own_thread(|| make(path))??;
            }
        }
        Self::open(path)
    }

    /// Opens the one that is kept at `path`.
    ///
    /// # Errors
    /// `NotFound` also where there is a file and no namespace, as after the host has started anew.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).map_err(errno::on("open", path))?;
        if is_namespace(&file)? {
            return Ok(Self { file, path: path.to_owned() });
        }
        let error = io::Error::new(io::ErrorKind::NotFound, "it is not a network namespace");
        Err(errno::on("open", path)(error))
    }

    /// Ends the keeping at `path`, and the file. The namespace ends with the last of its processes and
    /// sockets. Nothing there is success.
    ///
    /// # Errors
    /// With the operation and the path.
    pub fn forget(path: &Path) -> io::Result<()> {
        match rustix::mount::unmount(path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(errno::on("unmount", path)(error)),
        }
        std::fs::remove_file(path).map_err(errno::on("remove", path))
    }

    /// Does some work in the namespace, on a thread of its own, and waits for it: blocking.
    ///
    /// # Errors
    /// When the namespace cannot be entered. `EPERM` without `CAP_SYS_ADMIN`.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_own_thread(|| self.enter().map(|()| work()))?
    }

    /// Has a program start in the namespace.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn hold(&self, command: &mut Command) -> io::Result<()> {
        let namespace = OwnedFd::from(self.file.try_clone()?);
        #[expect(unsafe_code, reason = "a child enters its namespace between fork and exec")]
        // SAFETY: between fork and exec only what is safe in a signal handler may be called: this is
        // one system call, and neither allocates nor locks.
        unsafe {
            command.pre_exec(move || Ok(enter(namespace.as_fd())?));
        }
        Ok(())
    }

    /// Moves the calling thread, for good.
    fn enter(&self) -> io::Result<()> {
        enter(self.file.as_fd()).map_err(errno::on("enter", &self.path))
    }
}

fn enter(namespace: BorrowedFd<'_>) -> rustix::io::Result<()> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
}

fn is_namespace(file: &File) -> io::Result<bool> {
    let kind = fstatfs(file)?.f_type;
    Ok(u64::try_from(kind) == Ok(NSFS))
}

/// Makes a namespace of this thread, and keeps it at `path`.
fn make(path: &Path) -> io::Result<()> {
    #[expect(unsafe_code, reason = "unshare")]
    // SAFETY: unsafe is the sharing of descriptors, and only the network is asked for.
    let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
    unshared.map_err(errno::on("make a network namespace for", path))?;
    loopback_up().map_err(errno::on("set loopback up for", path))?;
    mount::bind(Path::new(OWN), path)
}

fn loopback_up() -> rustix::io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = InterfaceFlags { name, flags: UP, rest: [0; 22] };
    #[expect(unsafe_code, reason = "ioctl")]
    // SAFETY: SIOCSIFFLAGS reads one `struct ifreq`, which this is as long as.
    unsafe {
        ioctl(&socket, Setter::<SET_FLAGS, InterfaceFlags>::new(request))
    }
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        worker.join().map_err(|_| io::Error::other("the work in a network namespace panicked"))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        process::Stdio,
    };

    use super::*;
    use crate::sys::testing;

    fn own() -> PathBuf {
        std::fs::read_link(OWN).unwrap()
    }

    struct Kept(PathBuf);

    impl Drop for Kept {
        fn drop(&mut self) {
            let _ = Netns::forget(&self.0);
        }
    }

    #[test]
    fn what_listens_inside_is_reached_from_inside_and_by_nobody_else() {
        let world = testing::World::alone();
        let kept = Kept(world.path("netns"));
        let netns = Netns::ensure(&kept.0).unwrap();

        let listener = netns.run(|| TcpListener::bind("127.0.0.1:0")).unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect(address).is_err(), "it is reached from outside");

        // Made inside, used outside.
        let mut stream = netns.run(|| TcpStream::connect(address)).unwrap().unwrap();
        let (mut other, _) = listener.accept().unwrap();
        other.write_all(b"x").unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn it_is_found_by_its_path_and_nobody_s_thread_is_moved() {
        let world = testing::World::alone();
        let kept = Kept(world.path("netns"));
        let before = own();
        assert_eq!(Netns::open(&kept.0).unwrap_err().kind(), io::ErrorKind::NotFound);

        let first = Netns::ensure(&kept.0).unwrap().run(own).unwrap();
        let again = Netns::ensure(&kept.0).unwrap().run(own).unwrap();
        let opened = Netns::open(&kept.0).unwrap().run(own).unwrap();

        assert_ne!(first, before);
        assert_eq!([again, opened], [first.clone(), first]);
        assert_eq!(own(), before);
    }

    #[test]
    fn those_who_ask_at_the_same_time_get_the_same_one() {
        let world = testing::World::alone();
        let kept = Kept(world.path("netns"));
        let found: Vec<_> = thread::scope(|scope| {
            let ask = || Netns::ensure(&kept.0).unwrap().run(own).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert!(found.iter().all(|namespace| *namespace == found[0]), "{found:?}");
        rustix::mount::unmount(&kept.0, UnmountFlags::NOFOLLOW).unwrap();
        assert!(Netns::open(&kept.0).is_err(), "there are two, one on the other");
    }

    #[test]
    fn a_file_that_a_crash_or_a_boot_left_is_used_and_a_forgotten_one_is_gone() {
        let world = testing::World::alone();
        let kept = Kept(world.path("netns"));
        File::create(&kept.0).unwrap();
        assert_eq!(Netns::open(&kept.0).unwrap_err().kind(), io::ErrorKind::NotFound);

        Netns::ensure(&kept.0).unwrap();
        Netns::forget(&kept.0).unwrap();

        assert!(!kept.0.exists());
        Netns::forget(&kept.0).unwrap();
    }

    #[test]
    fn a_program_is_started_inside() {
        let world = testing::World::alone();
        let kept = Kept(world.path("netns"));
        let netns = Netns::ensure(&kept.0).unwrap();

        #[expect(clippy::disallowed_methods, reason = "the test's own child")]
        let mut command = Command::new("readlink");
        command.arg("/proc/self/ns/net").stdin(Stdio::null());
        netns.hold(&mut command).unwrap();
        let output = command.output().unwrap();

        let inside = String::from_utf8(output.stdout).unwrap();
        assert_eq!(Path::new(inside.trim()), netns.run(own).unwrap());
        assert_ne!(Path::new(inside.trim()), own());
    }

    #[test]
    fn what_cannot_be_made_is_said_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = Netns::ensure(&dir.path().join("none/netns")).unwrap_err();

        assert_eq!(errno::of(&error), Some(Errno::NOENT));
        assert!(error.to_string().contains("none/netns"), "{error}");
    }
}
