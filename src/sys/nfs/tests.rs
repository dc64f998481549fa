use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    child::{Call, How},
    locks::check,
    *,
};
use crate::sys::testing::{Unmount, World, until};

const LONG: Duration = Duration::from_secs(30);

fn mount() -> NfsMount {
    NfsMount {
        host: "filer".into(),
        address: [10, 0, 0, 5].into(),
        path: "/export/apps".into(),
        versions: vec![Version::V4_2, Version::V3],
        port: None,
        mount_port: None,
        hardness: Hardness::Hard,
        timeo: Duration::from_secs(60),
        retrans: 2,
        nconnect: None,
        rsize: None,
        wsize: None,
        locks: Locks::Local,
        noresvport: false,
        options: Vec::new(),
        netns: None,
    }
}

/// Source, flags and options of the call.
fn call(mount: &NfsMount, version: Version) -> (String, u32, String) {
    match strings::call(mount, version, mount.nconnect, Path::new("/target")) {
        Call::Mount { source, target, flags, data, .. } => {
            assert_eq!(target, Path::new("/target"));
            (source, flags, data)
        }
        other @ (Call::Unmount { .. } | Call::Sync { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn each_version_has_its_options() {
    const V4: &str = "proto=tcp,hard,timeo=600,retrans=2,nosharecache,addr=10.0.0.5,sec=sys";
    let v3 = "vers=3,proto=tcp,hard,timeo=600,retrans=2,nosharecache,addr=10.0.0.5,\
              mountvers=3,mountproto=tcp,mountaddr=10.0.0.5,nolock,local_lock=all,sec=sys";
    let cases = [
        (Version::V4_2, format!("vers=4.2,{V4}")),
        (Version::V4_1, format!("vers=4.1,{V4}")),
        (Version::V4_0, format!("vers=4.0,{V4}")),
        (Version::V3, v3.to_owned()),
    ];
    for (version, data) in cases {
        assert_eq!(call(&mount(), version), ("filer:/export/apps".into(), 0, data));
    }
}

#[test]
fn every_setting_is_in_the_options_and_the_operators_come_last() {
    let full = NfsMount {
        host: "fd00::5".into(),
        address: "fd00::5".parse().unwrap(),
        port: Some(2050),
        mount_port: Some(20048),
        hardness: Hardness::Soft,
        timeo: Duration::from_millis(1500),
        retrans: 1,
        nconnect: Some(4),
        rsize: Some(1 << 20),
        wsize: Some(1 << 19),
        locks: Locks::Refuse,
        noresvport: true,
        options: vec!["ro,noatime".into(), "sec=krb5,actimeo=1".into(), "nosuid".into()],
        ..mount()
    };
    let common = "proto=tcp6,soft,timeo=15,retrans=1,nosharecache,port=2050,rsize=1048576,\
                  wsize=524288,nconnect=4,noresvport,addr=fd00::5";
    let of_v3 = "mountvers=3,mountproto=tcp6,mountaddr=fd00::5,mountport=20048,lock";
    let flags = rustix::mount::MountFlags::RDONLY
        | rustix::mount::MountFlags::NOATIME
        | rustix::mount::MountFlags::NOSUID;

    let (source, v4_flags, v4) = call(&full, Version::V4_1);
    let (_, v3_flags, v3) = call(&full, Version::V3);

    assert_eq!(source, "[fd00::5]:/export/apps");
    assert_eq!((v4_flags, v3_flags), (flags.bits(), flags.bits()));
    assert_eq!(v4, format!("vers=4.1,{common},sec=krb5,actimeo=1"));
    assert_eq!(v3, format!("vers=3,{common},{of_v3},sec=krb5,actimeo=1"));
}

#[test]
fn a_wait_is_never_given_as_zero() {
    let hasty = NfsMount { timeo: Duration::from_millis(1), ..mount() };

    assert!(call(&hasty, Version::V4_2).2.contains(",timeo=1,"));
}

#[test]
fn what_the_kernel_says_becomes_what_to_do() {
    let cases = [
        (Errno::PROTONOSUPPORT, Verdict::NextVersion),
        (Errno::PROTO, Verdict::NextVersion),
        (Errno::PFNOSUPPORT, Verdict::NextVersion),
        (Errno::OPNOTSUPP, Verdict::NextVersion),
        (Errno::INVAL, Verdict::NextVersion),
        (Errno::NODEV, Verdict::NoClient),
        (Errno::NOENT, Verdict::NotFound),
        (Errno::NOTDIR, Verdict::NotFound),
        (Errno::STALE, Verdict::NotFound),
        (Errno::ACCESS, Verdict::Denied),
        (Errno::PERM, Verdict::Denied),
        (Errno::CONNREFUSED, Verdict::Unreachable),
        (Errno::TIMEDOUT, Verdict::Unreachable),
        (Errno::HOSTUNREACH, Verdict::Unreachable),
        (Errno::NETUNREACH, Verdict::Unreachable),
        (Errno::BUSY, Verdict::Other),
        (Errno::IO, Verdict::Other),
    ];
    for (errno, expected) in cases {
        let verdict = error::verdict(errno);
        let message = error::of_one(&mount(), Version::V4_1, errno).to_string();

        assert_eq!(verdict, expected, "{errno}");
        assert!(message.starts_with("mount filer:/export/apps (10.0.0.5)"), "{message}");
        assert_eq!(message.contains("by NFS 4.1"), errno != Errno::NODEV, "{message}");
    }
}

#[test]
fn when_no_version_is_left_all_of_them_are_named_and_bad_options_are_told_apart() {
    let refusals = [(Version::V4_2, Errno::INVAL), (Version::V3, Errno::PROTONOSUPPORT)];
    let with_options = NfsMount { options: vec!["nosuchthing".into()], ..mount() };

    let none = error::of_all(&with_options, &refusals).to_string();
    let invalid = error::of_all(&with_options, &refusals[..1]).to_string();

    assert!(none.contains("4.2: Invalid argument (os error 22); 3: Protocol not supp"), "{none}");
    assert!(invalid.contains("does not take the options (nosuchthing)"), "{invalid}");
}

#[test]
fn the_list_of_file_systems_tells_whether_there_is_a_client() {
    assert!(kernel::lists_nfs("nodev\tsysfs\n\text4\nnodev\tnfs\nnodev\tnfs4\n"));
    assert!(!kernel::lists_nfs("nodev\tnfsd\nnodev\tnfs4\n\text4\n"));
    assert!(!kernel::lists_nfs(""));
}

#[test]
fn the_child_answers_with_the_kernels_errno_and_takes_no_nonsense() {
    let request = Call::Unmount { target: PathBuf::from("/no/such/target"), how: How::Lazy };
    let request = serde_json::to_string(&request).unwrap();

    assert_eq!(carry_out(&request).unwrap(), r#"{"errno":2}"#);
    assert!(carry_out(r#"{"call":"reboot"}"#).is_err());
    assert!(carry_out("").is_err());
}

/// The request of a mount in the network that is kept there, of a server that nobody has.
fn request_in(netns: PathBuf) -> String {
    let mount = NfsMount { address: [127, 0, 0, 1].into(), netns: Some(netns), ..mount() };
    let call = strings::call(&mount, Version::V4_1, None, Path::new("/no/such/target"));
    serde_json::to_string(&call).unwrap()
}

#[test]
fn a_network_that_is_not_there_is_not_taken_for_the_servers_fault() {
    let answer = carry_out(&request_in("/no/such/netns".into())).unwrap();

    assert_eq!(
        answer,
        r#"{"network":"open /no/such/netns: No such file or directory (os error 2)"}"#
    );
}

#[test]
fn the_child_asks_the_kernel_from_inside_the_network() {
    let world = World::alone();
    let path = world.path("netns");
    crate::sys::netns::Netns::ensure(&path).unwrap();

    let answer = carry_out(&request_in(path.clone())).unwrap();

    // Of a kernel without a client, or of the target that is not there.
    assert!(answer == r#"{"errno":19}"# || answer == r#"{"errno":2}"#, "{answer}");
    crate::sys::netns::Netns::forget(&path).unwrap();
}

/// A program that ignores its arguments.
fn script(dir: &tempfile::TempDir, text: &str) -> Helper {
    let path = dir.path().join("helper");
    #[expect(clippy::disallowed_methods, reason = "a script of the test need not be durable")]
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Helper::at(Box::leak(path.display().to_string().into_boxed_str()))
}

#[tokio::test]
async fn a_child_that_does_not_end_is_killed_at_the_deadline_and_the_mount_fails() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let helper = script(&dir, &format!("echo $$ > {}; exec sleep 1000", pid.display()));
    let target = dir.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let start = Instant::now();

    let error = mount().mount(&target, &helper, Duration::from_secs(1)).await.unwrap_err();

    assert!(matches!(error, MountError::TimedOut { version: Version::V4_2, .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let pid = std::fs::read_to_string(pid).unwrap();
    let process = PathBuf::from(format!("/proc/{}", pid.trim()));
    until("the child is gone", || !process.exists());
}

#[tokio::test]
async fn versions_are_tried_in_order_and_one_connection_is_taken_where_more_are_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // A kernel without NFS 4.2 and without nconnect, and a server with NFSv3 only.
    let kernel = format!(
        r#"read -r call; echo "$call" >> {}
           case "$call" in
             *vers=4.2*|*nconnect*) echo '{{"errno":22}}';;
             *vers=4.1*) echo '{{"errno":93}}';;
             *) echo '"done"';;
           esac"#,
        log.display()
    );
    let helper = script(&dir, &kernel);
    let wanted = NfsMount {
        versions: vec![Version::V4_2, Version::V4_1, Version::V3],
        nconnect: Some(4),
        ..mount()
    };

    let version = wanted.mount(dir.path(), &helper, LONG).await.unwrap();

    assert_eq!(version, Version::V3);
    let calls = std::fs::read_to_string(log).unwrap();
    let tried: Vec<_> = calls
        .lines()
        .map(|call| (&call[call.find("vers=").unwrap() + 5..][..3], call.contains("nconnect")))
        .collect();
    let expected = [
        ("4.2", true),
        ("4.2", false),
        ("4.1", true),
        ("4.1", false),
        ("3,p", true),
        ("3,p", false),
    ];
    assert_eq!(tried, expected);
}

#[tokio::test]
async fn a_helper_that_answers_nonsense_is_reported_with_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let helper = script(&dir, "cat > /dev/null; echo what");

    let error = mount().mount(dir.path(), &helper, LONG).await.unwrap_err();

    assert!(error.to_string().contains(r#"helper answered "what\n""#), "{error}");
}

/// An rpcbind that gives this answer to every call.
async fn rpcbind(address: &str, answer: u32) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let length = connection.read_u32().await.unwrap() & 0x7fff_ffff;
            let mut call = vec![0; usize::try_from(length).unwrap()];
            connection.read_exact(&mut call).await.unwrap();
            // Longer than the shortest: an address of four bytes follows the length, say.
            let reply = [0x8000_0000 | 32, 1, 1, 0, 0, 0, 0, answer, 0];
            let reply: Vec<u8> = reply.into_iter().flat_map(u32::to_be_bytes).collect();
            connection.write_all(&reply).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn locks_across_nodes_need_both_sides_and_what_is_missing_is_named() {
    let there = rpcbind("127.0.0.1:0", 40000).await;
    let there_6 = rpcbind("[::1]:0", 9).await;
    let empty = rpcbind("127.0.0.1:0", 0).await;
    let empty_6 = rpcbind("[::1]:0", 0).await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));

    assert_eq!(check(there, there).await, Ok(()));
    assert_eq!(check(there, there_6).await, Ok(()));
    assert_eq!(check(nobody, there).await, Err(Lacking::LocalRpcbind));
    assert_eq!(check(empty, there).await, Err(Lacking::LocalStatd));
    assert_eq!(check(there, nobody).await, Err(Lacking::ServerRpcbind));
    assert_eq!(check(there, empty).await, Err(Lacking::ServerLockManager));
    assert_eq!(check(there, empty_6).await, Err(Lacking::ServerLockManager));
    let message = MountError::NoLocks { place: mount().place(), why: Lacking::LocalStatd };
    assert!(message.to_string().contains(r#"`locks = "local"`"#), "{message}");
}

#[tokio::test]
async fn an_rpcbind_that_never_answers_counts_as_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let start = Instant::now();

    assert_eq!(check(silent, silent).await, Err(Lacking::LocalRpcbind));
    assert!(start.elapsed() < Duration::from_secs(8));
}

/// A tmpfs in the place of an NFS mount.
fn mounted(world: &World, name: &str) -> Unmount {
    let target = world.dir(name);
    let flags = rustix::mount::MountFlags::NOSUID;
    rustix::mount::mount("test", &target, "tmpfs", flags, c"size=1m").unwrap();
    Unmount(target)
}

/// A kernel that says this of each way to unmount.
fn kernel(dir: &tempfile::TempDir, plain: &str, force: &str, lazy: &str) -> Helper {
    let text = format!(
        r#"read -r call; echo "$call" >> "$0.log"
           case "$call" in *plain*) {plain};; *force*) {force};; *lazy*) {lazy};; esac"#
    );
    script(dir, &text)
}

fn was_forced(dir: &tempfile::TempDir) -> bool {
    std::fs::read_to_string(dir.path().join("helper.log")).unwrap().contains("force")
}

const BUSY: &str = r#"echo '{"errno":16}'"#;
const DONE: &str = r#"echo '"done"'"#;
const HANGS: &str = "exec sleep 1000";

#[tokio::test]
async fn calls_on_a_file_system_that_is_mounted_twice_are_not_failed() {
    let (world, dir) = (World::alone(), tempfile::tempdir().unwrap());
    let one = mounted(&world, "one");
    let other = Unmount(world.dir("other"));
    crate::sys::mount::bind(one.path(), other.path()).unwrap();

    let outcome = unmount(one.path(), Server::Silent, &kernel(&dir, BUSY, DONE, DONE)).await;

    assert_eq!(outcome.unwrap(), Unmounted::Lazy);
    assert!(!was_forced(&dir));
    drop((one, other));
}

#[tokio::test]
async fn an_unmount_that_hangs_is_forced_and_what_is_gone_meanwhile_counts_as_lazy() {
    let (world, dir) = (World::alone(), tempfile::tempdir().unwrap());
    let mount = mounted(&world, "one");
    let start = Instant::now();

    let forced = unmount(mount.path(), Server::Silent, &kernel(&dir, HANGS, DONE, BUSY)).await;
    assert_eq!(forced.unwrap(), Unmounted::Forced);
    assert!(was_forced(&dir));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let dir = tempfile::tempdir().unwrap();
    let nothing = world.dir("nothing");
    let gone = unmount(&nothing, Server::Silent, &kernel(&dir, HANGS, DONE, BUSY)).await;
    assert_eq!(gone.unwrap(), Unmounted::Lazy);
    drop(mount);
}

#[tokio::test]
async fn a_mount_that_stays_whatever_is_done_is_an_error() {
    let (world, dir) = (World::alone(), tempfile::tempdir().unwrap());
    let mount = mounted(&world, "one");

    let error = unmount(mount.path(), Server::Silent, &kernel(&dir, BUSY, BUSY, BUSY)).await;

    assert!(matches!(error, Err(crate::sys::mount::UnmountError::Busy { .. })), "{error:?}");
    assert!(was_forced(&dir));
    drop(mount);
}

#[tokio::test]
async fn writing_back_ends_in_time_and_says_what_came_of_it() {
    let (world, dir) = (World::alone(), tempfile::tempdir().unwrap());
    let mount = mounted(&world, "one");
    let short = Duration::from_millis(200);

    write_back(mount.path(), LONG, &script(&dir, DONE)).await.unwrap();
    let late = write_back(mount.path(), short, &script(&dir, HANGS)).await;

    assert!(matches!(late, Err(HelperError::Late { .. })), "{late:?}");
    let call = serde_json::to_string(&Call::Sync { target: mount.path().to_owned() }).unwrap();
    assert_eq!(carry_out(&call).unwrap(), r#""done""#);
    let nothing = serde_json::to_string(&Call::Sync { target: "/nothing".into() }).unwrap();
    assert_eq!(carry_out(&nothing).unwrap(), r#"{"errno":2}"#);
    drop(mount);
}
