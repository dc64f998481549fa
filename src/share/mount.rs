//! A volume of another node, mounted by this kernel's NFS client.
//!
//! The client's server is not the owner but the tunnel's end on this node, at a port of the network
//! namespace's loopback: the owner may change, and the mount does not know. What mounts and unmounts is
//! [`crate::sys::nfs`]; here is what is special about such a mount.
//!
//! - It is hard: while the owner is away, tasks wait and get no error.
//! - Its address, port and path are for as long as it lives; the port is to be bound before anything looks
//!   at the mount.
//! - `timeo` and `retrans` decide only what the client thinks of a connection that does not answer, and
//!   the connection is to this node. They are the kernel's own defaults: a new owner is met by
//!   the tunnel's end closing the connection, upon which the client calls again at once.
//! - Its source in the mount table is `hawser:/<uuid>`, by which it is known.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use super::config::pseudo_path;
use crate::sys::{
    mount::UnmountError,
    mountinfo::Mount,
    nfs::{
        self, Hardness, Helper, HelperError, Locks, MountError, NfsMount, Server, Unmounted,
        Version,
    },
};

/// What the mount table names as the server.
const HOST: &str = "hawser";
/// What the kernel has for NFS by TCP.
const TIMEO: Duration = Duration::from_secs(60);
const RETRANS: u32 = 2;

/// A volume of another node, as it is to be mounted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMount {
    /// The volume.
    pub volume: Uuid,
    /// Where the network namespace is kept.
    pub netns: PathBuf,
    /// The port of the tunnel's end there.
    pub port: u16,
}

impl RemoteMount {
    /// Mounts it. The owner's server has to answer through the tunnel: ask it first.
    ///
    /// # Errors
    /// See [`MountError`]. Nothing is mounted then.
    ///
    /// # Cancellation
    /// As of [`NfsMount::mount`].
    pub async fn mount(
        &self,
        target: &Path,
        helper: &Helper,
        limit: Duration,
    ) -> Result<Version, MountError> {
        self.wanted().mount(target, helper, limit).await
    }

    /// The mount, as the kernel is told about it.
    #[must_use]
    pub fn wanted(&self) -> NfsMount {
        NfsMount {
            host: HOST.into(),
            address: Ipv4Addr::LOCALHOST.into(),
            path: pseudo_path(&self.volume),
            // Not 4.0: without sessions a call may be carried out twice when a connection breaks.
            versions: vec![Version::V4_2, Version::V4_1],
            port: Some(self.port),
            mount_port: None,
            hardness: Hardness::Hard,
            timeo: TIMEO,
            retrans: RETRANS,
            // The tunnel carries one connection, in which calls do not wait for each other.
            nconnect: None,
            rsize: None,
            wsize: None,
            locks: Locks::Refuse,
            // Ports below 1024 are some hundred, prove nothing in here, and one that is still in the
            // old connection's last state would hold up the new one.
            noresvport: true,
            options: Vec::new(),
            netns: Some(self.netns.clone()),
        }
    }
}

/// How far the unmounting of what another node serves goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// What is dirty is written back before it is unmounted: once it is, the tunnel lets the owner go, and
    /// nothing could be written any more. Waited for as long as it takes, by being tried again.
    Written,
    /// It cannot be written any more, or must not be: it goes, whatever that loses.
    AsItIs,
}

/// Why it was not taken away.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// Nothing was done to it.
    #[error(
        "what tasks here wrote to it is not all with its owner yet ({why}): it stays mounted until it is, and this is tried again"
    )]
    Dirty {
        /// What came of writing it back.
        why: HelperError,
    },
    /// The unmounting itself.
    #[error(transparent)]
    Unmount(#[from] UnmountError),
}

/// Takes the mount at `target` away. It ends within some seconds more than `limit`, whatever the owner does; the answer says what
/// that cost.
///
/// # Errors
/// See [`LeaveError`]; `Busy` only where the owner answers.
///
/// # Cancellation
/// As of [`nfs::unmount`].
pub async fn leave(
    target: &Path,
    owner: Server,
    leaving: Leaving,
    limit: Duration,
    helper: &Helper,
) -> Result<Unmounted, LeaveError> {
    if leaving == Leaving::Written {
        nfs::write_back(target, limit, helper).await.map_err(|why| LeaveError::Dirty { why })?;
    }
    let how = nfs::unmount(target, owner, helper).await?;
    // Nothing that could be lost is left.
    Ok(if leaving == Leaving::Written { Unmounted::Clean } else { how })
}

/// Which volume of another node this is, if it is one.
#[must_use]
pub fn volume_of(mount: &Mount) -> Option<Uuid> {
    let of_nfs = mount.fs_type == "nfs4" || mount.fs_type == "nfs";
    let path = mount.source.strip_prefix(HOST)?.strip_prefix(":/")?;
    path.parse().ok().filter(|_| of_nfs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mountinfo::MountTable;

    fn remote() -> RemoteMount {
        RemoteMount { volume: Uuid::from_u128(7), netns: "/run/hawser/netns".into(), port: 3001 }
    }

    #[test]
    fn the_kernel_is_told_of_the_tunnel_and_never_of_the_owner() {
        let mount = remote().wanted();

        assert_eq!(
            mount.options(Version::V4_2),
            "vers=4.2,proto=tcp,hard,timeo=600,retrans=2,nosharecache,port=3001,noresvport,\
             addr=127.0.0.1,sec=sys"
        );
        assert_eq!(mount.netns.as_deref(), Some(Path::new("/run/hawser/netns")));
        assert_eq!(
            mount.place().to_string(),
            "hawser:/00000000-0000-0000-0000-000000000007 (127.0.0.1)"
        );
    }

    #[test]
    fn such_a_mount_is_known_in_the_mount_table_and_no_other_is_taken_for_one() {
        let table = |source: &str, kind: &str| {
            let line = format!("36 35 0:50 / /x rw - {kind} {source} rw\n");
            let table = MountTable::parse(line.as_bytes());
            volume_of(table.at(Path::new("/x")).unwrap())
        };
        let id = "00000000-0000-0000-0000-000000000007";

        assert_eq!(table(&format!("hawser:/{id}"), "nfs4"), Some(Uuid::from_u128(7)));
        assert_eq!(table("hawser:/export", "nfs4"), None);
        assert_eq!(table(&format!("filer:/{id}"), "nfs4"), None);
        assert_eq!(table(&format!("hawser:/{id}"), "ext4"), None);
        assert_eq!(table("hawser", "tmpfs"), None);
    }

    #[tokio::test]
    async fn what_is_not_written_back_stays_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let helper = Helper::at("/bin/false");
        let leave = |leaving| leave(dir.path(), Server::Silent, leaving, TIMEO, &helper);

        let kept = leave(Leaving::Written).await;
        let error = kept.unwrap_err();

        assert!(matches!(error, LeaveError::Dirty { .. }), "{error}");
        assert!(error.to_string().contains("stays mounted"), "{error}");
        assert!(
            matches!(leave(Leaving::AsItIs).await, Err(LeaveError::Unmount(_))),
            "it was tried"
        );
    }
}
