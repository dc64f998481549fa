//! A program that can make no unix sockets.
//!
//! A network namespace hides the host's network, and no socket that has a path. NFS-Ganesha asks the host's
//! rpcbind by one (`/run/rpcbind.sock`, or the network's own where there is none) to drop whoever is registered
//! as NFS server, and registers itself: the host's own one, and every other volume's, would be lost there.
//! It has no setting against that (4.3). What else it would do by such sockets is the bus, which it can do
//! without. A mount namespace that hides the path would hold other mounts of the host.

use std::{env::consts::ARCH, io};

use rustix::{io::Errno, net::AddressFamily};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

/// To be made before the fork, since it allocates.
pub(super) fn filter() -> io::Result<BpfProgram> {
    let compile = || -> Result<BpfProgram, BackendError> {
        let unix = u64::from(AddressFamily::UNIX.as_raw());
        let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, unix)?;
        let refused = vec![SeccompRule::new(vec![family])?];
        let errno = SeccompAction::Errno(Errno::AFNOSUPPORT.raw_os_error().unsigned_abs());
        let rules = [(libc::SYS_socket, refused)].into();
        SeccompFilter::new(rules, SeccompAction::Allow, errno, ARCH.try_into()?)?.try_into()
    };
    compile().map_err(io::Error::other)
}

/// For the calling thread and what it starts, for good. It does not allocate where it succeeds.
pub(super) fn apply(filter: &BpfProgram) -> io::Result<()> {
    apply_filter(filter).map_err(|error| match error {
        Error::Prctl(error) | Error::Seccomp(error) => error,
        Error::Backend(_) | Error::EmptyFilter | Error::ThreadSync(_) => Errno::INVAL.into(),
    })
}
