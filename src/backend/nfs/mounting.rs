//! What tasks see of a directory: a mount by the kernel's client.
//!
//! A hard mount waits for its server for as long as it takes: so the server is asked for an answer
//! before anything is mounted, and what is mounted is known from the mount table, never by touching it.

use std::{io, net::IpAddr, path::Path, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;

use super::{
    ExportSettings, Locks, Nfs, NfsVersion, OverLimit,
    directory::data_of,
    error::NfsError,
    exports::{self, Export},
    failed,
    place::Place,
    tree::{Cause, TreeError},
    v3,
};
use crate::{
    backend::{Accounting, BackendError, Beyond, Directories, VolumeRef},
    spec::{Bytes, NfsSpec},
    sys::{
        mountinfo::Mount,
        nfs::{self, Hardness, Helper, NfsMount, Server, Unmounted, Version},
    },
};

/// The port of NFS where none is configured.
const PORT: u16 = 2049;
/// How long a server may take to answer before a mount.
const PROBE: Duration = Duration::from_secs(5);
/// How long a mount may take in all, over every version: below Docker's patience.
const MOUNT: Duration = Duration::from_secs(40);

impl Export {
    async fn mount(
        &self,
        volume: &VolumeRef,
        spec: &NfsSpec,
        target: &Path,
    ) -> Result<(), NfsError> {
        if self.places.locate(volume.id, spec).await? != Place::Here {
            return Err(NfsError::Absent { path: spec.path.clone() });
        }
        self.mount_path(&spec.path, &volume.spec.mount_options, target).await
    }

    /// Mounts the export itself.
    pub(super) async fn mount_whole(&self, target: &Path) -> Result<(), NfsError> {
        self.mount_path("", &[], target).await
    }

    async fn mount_path(
        &self,
        path: &str,
        options: &[String],
        target: &Path,
    ) -> Result<(), NfsError> {
        let address = reachable(&self.settings).await?;
        let mount = as_mount(&self.settings, address, path, options);
        let version = mount.mount(target, &Helper::itself(), MOUNT).await?;
        tracing::info!(server = %self.settings.server, path, %version, "mounted");
        Ok(())
    }

    /// Whether a mount is that of the export itself.
    pub(super) fn is_whole(&self, mount: &Mount) -> bool {
        shows_path(&server_path(&self.settings, ""), mount)
    }

    async fn unmount(&self, volume: &VolumeRef, target: &Path) -> Result<(), BackendError> {
        let server = match reachable(&self.settings).await {
            Ok(_) => Server::Answers,
            Err(_) => Server::Silent,
        };
        match nfs::unmount(target, server, &Helper::itself()).await {
            Ok(Unmounted::Clean) => {}
            Ok(Unmounted::Forced) => tracing::error!(
                volume = %volume.name, server = %self.settings.server,
                "unmounted by force, as the server does not answer: what was not yet written to it is lost"
            ),
            Ok(Unmounted::Lazy) => tracing::warn!(
                volume = %volume.name, server = %self.settings.server,
                ?server,
                "taken out of the tree, as its unmounting does not end: what was not yet written to the server is written if it answers before this node is restarted"
            ),
            Err(error) => return Err(failed("unmount")(error.into())),
        }
        Ok(())
    }
}

/// The server's first address that answers a call without arguments, in one of the versions.
pub(super) async fn reachable(settings: &ExportSettings) -> Result<IpAddr, NfsError> {
    let host = settings.server.host.clone();
    let port = settings.port.unwrap_or(PORT);
    let found = timeout(PROBE, tokio::net::lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = found
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| NfsError::NoAddress { host: host.clone(), source })?
        .map(|address| address.ip())
        .collect();
    let mut silent = None;
    for address in addresses {
        match answers_at(settings, address, port).await {
            Ok(()) => return Ok(address),
            Err(why) => silent = Some((address, why.to_string())),
        }
    }
    Err(match silent {
        Some((address, why)) => NfsError::Silent { host, address, port, after: PROBE, why },
        None => NfsError::NoAddress { host, source: io::Error::other("it has no address") },
    })
}

/// A server may have one of the versions only, and version 3 at a port that its portmapper knows.
async fn answers_at(
    settings: &ExportSettings,
    address: IpAddr,
    port: u16,
) -> Result<(), TreeError> {
    let server = v3::ServerConfig { host: address.to_string(), ..exports::server(settings) };
    let has = |three: bool| settings.versions.iter().any(|v| (*v == NfsVersion::V3) == three);
    let four = match has(false) {
        true => Some(v3::null(&server, port, v3::NfsVersion::V4, PROBE).await),
        false => None,
    };
    match four {
        Some(Err(error)) if has(true) && !matches!(error.cause, Cause::Unreachable(_)) => {
            v3::null_v3(&server, PROBE).await
        }
        Some(answer) => answer,
        None => v3::null_v3(&server, PROBE).await,
    }
}

/// The mount of a directory of an export.
pub(super) fn as_mount(
    settings: &ExportSettings,
    address: IpAddr,
    path: &str,
    options: &[String],
) -> NfsMount {
    NfsMount {
        host: settings.server.host.clone(),
        address,
        path: server_path(settings, path),
        versions: settings.versions.iter().copied().map(as_version).collect(),
        port: settings.port,
        mount_port: settings.mount_port,
        hardness: Hardness::Hard,
        timeo: settings.timeo,
        retrans: settings.retrans,
        nconnect: settings.nconnect,
        rsize: settings.rsize,
        wsize: settings.wsize,
        locks: match settings.locks {
            Locks::Refuse => nfs::Locks::Refuse,
            Locks::Local => nfs::Locks::Local,
        },
        noresvport: settings.noresvport,
        options: settings.options.iter().chain(options).cloned().collect(),
        netns: None,
    }
}

/// A directory of the export, as the server counts it.
fn server_path(settings: &ExportSettings, path: &str) -> String {
    let export = settings.server.path.trim_end_matches('/');
    let full = if path.is_empty() { export.to_owned() } else { format!("{export}/{path}") };
    if full.is_empty() { "/".to_owned() } else { full }
}

const fn as_version(version: NfsVersion) -> Version {
    match version {
        NfsVersion::V4_2 => Version::V4_2,
        NfsVersion::V4_1 => Version::V4_1,
        NfsVersion::V4_0 => Version::V4_0,
        NfsVersion::V3 => Version::V3,
    }
}

/// The server's name is not compared: it may have got another one in the configuration since.
fn shows_path(path: &str, mount: &Mount) -> bool {
    let of_path = |source: &str| source.strip_suffix(path).is_some_and(|host| host.ends_with(':'));
    mount.fs_type.starts_with("nfs") && of_path(&mount.source)
}

#[async_trait]
impl Directories for Nfs {
    async fn mount(&self, volume: &VolumeRef, target: &Path) -> Result<(), BackendError> {
        let (export, spec) = self.of(&volume.spec.backend).map_err(failed("mount"))?;
        export.mount(volume, spec, target).await.map_err(failed("mount"))
    }

    async fn unmount(&self, volume: &VolumeRef, target: &Path) -> Result<(), BackendError> {
        let (export, _) = self.of(&volume.spec.backend).map_err(failed("unmount"))?;
        export.unmount(volume, target).await
    }

    fn shows(&self, volume: &VolumeRef, mount: &Mount) -> bool {
        let Ok((export, spec)) = self.of(&volume.spec.backend) else { return false };
        // The kernel names a bind of a directory by that directory.
        [spec.path.as_str(), &data_of(volume, spec)]
            .iter()
            .any(|path| shows_path(&server_path(&export.settings, path), mount))
    }

    async fn set_aside(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        let (export, spec) = self.of(&volume.spec.backend).map_err(failed("set aside"))?;
        export.places.set_aside(volume.id, spec).await.map_err(failed("set aside"))
    }

    async fn answers(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        let (export, _) = self.of(&volume.spec.backend).map_err(failed("reach the server"))?;
        export.answers().await.map_err(failed("reach the server"))
    }

    async fn measure(&self, volume: &VolumeRef) -> Result<Bytes, BackendError> {
        let (export, spec) = self.of(&volume.spec.backend).map_err(failed("measure"))?;
        export.measure(&data_of(volume, spec)).await.map_err(failed("measure"))
    }

    fn accounting(&self, volume: &VolumeRef) -> Accounting {
        let Ok((Export { settings, .. }, _)) = self.of(&volume.spec.backend) else {
            return Accounting { every: None, beyond: Beyond::Said };
        };
        let beyond = match settings.over_limit {
            OverLimit::Warn => Beyond::Said,
            OverLimit::Refuse => Beyond::Refused,
        };
        Accounting { every: settings.measure_every, beyond }
    }
}
