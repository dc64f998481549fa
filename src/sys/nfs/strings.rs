//! What mount(2) is given: mount.nfs(8) is not used, and what it adds the kernel insists on
//! (`addr=`). See nfs(5), and `nfs_fs_parameters` in the kernel's fs/nfs/fs_context.c.

use std::{net::IpAddr, path::Path};

use rustix::mount::MountFlags;

use super::{Hardness, Locks, NfsMount, Version, child::Call};
use crate::sys::mount::split_options;

/// The call for one version.
pub(super) fn call(
    mount: &NfsMount,
    version: Version,
    nconnect: Option<u8>,
    target: &Path,
) -> Call {
    let (flags, data) = data(mount, version, nconnect);
    Call::Mount {
        source: source(mount),
        target: target.to_owned(),
        flags: flags.bits(),
        data,
        netns: mount.netns.clone(),
    }
}

/// Its flags and its options.
pub(super) fn data(
    mount: &NfsMount,
    version: Version,
    nconnect: Option<u8>,
) -> (MountFlags, String) {
    let (flags, theirs) = split_options(&mount.options);
    let mut data = common(mount, version, nconnect);
    match version {
        Version::V4_2 | Version::V4_1 | Version::V4_0 => {}
        Version::V3 => data.extend(of_v3(mount)),
    }
    if !theirs.split(',').any(|option| option.starts_with("sec=")) {
        // Not a default that a later `sec=` replaces: the kernel would try both.
        data.push("sec=sys".into());
    }
    if !theirs.is_empty() {
        data.push(theirs);
    }
    (flags, data.join(","))
}

fn common(mount: &NfsMount, version: Version, nconnect: Option<u8>) -> Vec<String> {
    let mut data = vec![
        format!("vers={version}"),
        format!("proto={}", protocol(mount.address)),
        match mount.hardness {
            Hardness::Hard => "hard".into(),
            Hardness::Soft => "soft".into(),
        },
        // In tenths of a second; the kernel refuses 0.
        format!("timeo={}", (mount.timeo.as_millis() / 100).max(1)),
        format!("retrans={}", mount.retrans),
        // A superblock for each mount: options are not taken over from another mount of the same
        // server, and a forced unmount ends the calls of this mount only. Connections are shared
        // nevertheless.
        "nosharecache".into(),
    ];
    data.extend(mount.port.map(|port| format!("port={port}")));
    data.extend(mount.rsize.map(|bytes| format!("rsize={bytes}")));
    data.extend(mount.wsize.map(|bytes| format!("wsize={bytes}")));
    data.extend(nconnect.map(|connections| format!("nconnect={connections}")));
    if mount.noresvport {
        data.push("noresvport".into());
    }
    // A callback address for NFSv4.0 (`clientaddr=`) is not given: the kernel takes the address
    // that it has towards the server.
    data.push(format!("addr={}", mount.address));
    data
}

fn of_v3(mount: &NfsMount) -> Vec<String> {
    let mut data = vec![
        "mountvers=3".into(),
        format!("mountproto={}", protocol(mount.address)),
        format!("mountaddr={}", mount.address),
    ];
    data.extend(mount.mount_port.map(|port| format!("mountport={port}")));
    match mount.locks {
        Locks::Refuse => data.push("lock".into()),
        // `nolock` alone would do; the mount table then says what it means.
        Locks::Local => data.extend(["nolock".into(), "local_lock=all".into()]),
    }
    data
}

const fn protocol(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "tcp",
        IpAddr::V6(_) => "tcp6",
    }
}

/// As the mount table shows it. The kernel splits it at the first colon that is not in brackets.
fn source(mount: &NfsMount) -> String {
    if mount.host.contains(':') && !mount.host.starts_with('[') {
        format!("[{}]:{}", mount.host, mount.path)
    } else {
        format!("{}:{}", mount.host, mount.path)
    }
}
