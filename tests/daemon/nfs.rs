//! NFS mounts by the real binary's hidden helper. A server, and a kernel with an NFS client, are in
//! the lab; what can be seen without them is here.

use std::{fs::File, net::Ipv4Addr, path::Path, time::Duration};

use hawser::sys::{
    mount::UnmountError,
    mountinfo::MountTable,
    nfs::{Hardness, Helper, Locks, MountError, NfsMount, Server, Unmounted, Version, unmount},
};

use crate::harness::HAWSER;

const HELPER: Helper = Helper::at(HAWSER);

fn nobody_listens() -> NfsMount {
    NfsMount {
        host: "nobody".into(),
        address: Ipv4Addr::LOCALHOST.into(),
        path: "/export".into(),
        versions: vec![Version::V4_1],
        port: Some(1),
        mount_port: None,
        hardness: Hardness::Hard,
        timeo: Duration::from_secs(1),
        retrans: 1,
        nconnect: None,
        rsize: None,
        wsize: None,
        locks: Locks::Refuse,
        noresvport: false,
        options: Vec::new(),
        netns: None,
    }
}

#[tokio::test]
async fn a_mount_that_cannot_be_made_says_whether_the_kernel_or_the_server_lacks_something() {
    let target = tempfile::tempdir().unwrap();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap();
    let has_client = known.lines().any(|line| line.ends_with("\tnfs"));

    let limit = Duration::from_secs(20);
    let error = nobody_listens().mount(target.path(), &HELPER, limit).await.unwrap_err();

    let message = error.to_string();
    assert!(message.starts_with("mount nobody:/export (127.0.0.1)"), "{message}");
    if has_client {
        let reason = matches!(error, MountError::Unreachable { .. } | MountError::TimedOut { .. });
        assert!(reason, "{message}");
    } else {
        assert!(matches!(error, MountError::NoClient { .. }), "{message}");
        assert!(message.ends_with("nothing was mounted"), "{message}");
    }
    assert!(!is_mounted(target.path()));
}

#[tokio::test]
async fn a_mount_that_is_not_in_use_goes_cleanly_and_one_that_is_gone_is_no_error() {
    let target = tmpfs();

    let first = unmount(target.path(), Server::Answers, &HELPER).await.unwrap();
    let second = unmount(target.path(), Server::Silent, &HELPER).await.unwrap();
    let gone = unmount(Path::new("/no/such/mount"), Server::Answers, &HELPER).await.unwrap();

    assert_eq!([first, second, gone], [Unmounted::Clean; 3]);
    assert!(!is_mounted(target.path()));
}

#[tokio::test]
async fn a_mount_in_use_stays_while_its_server_answers_and_goes_when_it_is_silent() {
    let target = tmpfs();
    let user = File::create(target.path().join("file")).unwrap();

    let refused = unmount(target.path(), Server::Answers, &HELPER).await.unwrap_err();
    assert!(matches!(refused, UnmountError::Busy { .. }), "{refused}");
    assert!(is_mounted(target.path()));
    let taken = unmount(target.path(), Server::Silent, &HELPER).await.unwrap();

    assert_eq!(taken, Unmounted::Lazy);
    assert!(!is_mounted(target.path()));
    drop(user);
}

#[test]
fn the_helper_is_hidden_from_people() {
    let help = std::process::Command::new(HAWSER).arg("--help").output().unwrap();

    assert!(help.status.success());
    assert!(!String::from_utf8(help.stdout).unwrap().contains(hawser::sys::nfs::SUBCOMMAND));
}

/// In this process's own mount namespace: /proc/self is the process's, not the thread's.
fn tmpfs() -> tempfile::TempDir {
    assert!(rustix::process::geteuid().is_root(), "this test needs root: it mounts");
    let dir = tempfile::tempdir().unwrap();
    let flags = rustix::mount::MountFlags::NOSUID;
    rustix::mount::mount("test", dir.path(), "tmpfs", flags, c"size=1m").unwrap();
    dir
}

fn is_mounted(path: &Path) -> bool {
    MountTable::read().unwrap().at(&path.canonicalize().unwrap()).is_some()
}
