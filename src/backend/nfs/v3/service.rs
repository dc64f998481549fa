//! Single calls on a connection of their own: to the portmapper, to MOUNT, and the call that does
//! nothing (NULL), by which a server is probed.

use std::time::Duration;

use nfs3_client::{
    nfs3_types::{
        mount::{self, MOUNT_PROGRAM, dirpath, mountres3},
        nfs3::{self, nfs_fh3},
        portmap::{self, IPPROTO_TCP, PMAP_PROG, mapping},
        rpc::{auth_flavor, auth_unix, opaque_auth},
        xdr_codec::{Opaque, Pack, Unpack, Void},
    },
    rpc::RpcClient,
};

use super::{
    ServerConfig,
    connect::connect,
    failure::{Failure, of_mount},
    retry::{Attempt, persist},
};
use crate::backend::nfs::tree::{Cause, TreeError};

/// AUTH_SYS has room for no more.
const MOST_GROUPS: usize = 16;

/// A version of the protocol that a server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NfsVersion {
    V3,
    V4,
}

/// A program on a server, in one version.
#[derive(Debug, Clone, Copy)]
struct Service {
    name: &'static str,
    program: u32,
    version: u32,
}

const PORTMAPPER: Service =
    Service { name: "portmapper", program: portmap::PROGRAM, version: portmap::VERSION };
const MOUNT: Service =
    Service { name: "MOUNT version 3", program: mount::PROGRAM, version: mount::VERSION };
const NFS3: Service = Service { name: "NFSv3", program: nfs3::PROGRAM, version: nfs3::VERSION };
const NFS4: Service = Service { name: "NFSv4", program: nfs3::PROGRAM, version: 4 };

/// Who calls: AUTH_SYS with this machine's name.
pub(super) fn credential(server: &ServerConfig) -> opaque_auth<'static> {
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    opaque_auth::auth_unix(&auth_unix {
        stamp: 0,
        machinename: Opaque::owned(name),
        uid: server.uid,
        gid: server.gid,
        gids: server.gids.iter().copied().take(MOST_GROUPS).collect(),
    })
}

/// Calls NULL of NFS: whether a server of that version answers on `port`, within `limit`. It says
/// nothing about exports.
///
/// # Errors
///
/// `Unreachable`, or `Protocol` where something else answers, such as a server of another version.
pub(crate) async fn null(
    server: &ServerConfig,
    port: u16,
    version: NfsVersion,
    limit: Duration,
) -> Result<(), TreeError> {
    let service = match version {
        NfsVersion::V3 => NFS3,
        NfsVersion::V4 => NFS4,
    };
    let call = Call { server, port, service, procedure: 0, arguments: Void };
    let answer: Result<Void, _> = persist(limit, || call.make()).await;
    answer.map(|_| ()).map_err(|failure| TreeError {
        op: "probe the server",
        place: format!("{}, port {port}", server.host),
        cause: failure.into(),
    })
}

/// The same for NFSv3, at the port that is configured or that the portmapper says.
///
/// # Errors
///
/// As of [`null`].
pub(crate) async fn null_v3(server: &ServerConfig, limit: Duration) -> Result<(), TreeError> {
    let port = persist(limit, || nfs_port(server)).await.map_err(|failure| TreeError {
        op: "ask for the port of NFSv3 at",
        place: server.host.clone(),
        cause: failure.into(),
    })?;
    null(server, port, NfsVersion::V3, limit).await
}

/// The port of NFS: as configured, or as the portmapper says.
pub(super) async fn nfs_port(server: &ServerConfig) -> Result<u16, Attempt> {
    match server.port {
        Some(port) => Ok(port),
        None => port_of(server, NFS3).await,
    }
}

async fn port_of(server: &ServerConfig, wanted: Service) -> Result<u16, Attempt> {
    let arguments =
        mapping { prog: wanted.program, vers: wanted.version, prot: IPPROTO_TCP, port: 0 };
    let procedure = PMAP_PROG::PMAPPROC_GETPORT as u32;
    let port = server.portmapper_port;
    let call = Call { server, port, service: PORTMAPPER, procedure, arguments };
    let answer: u32 = call.make().await?;
    match u16::try_from(answer) {
        // A server that restarts has not registered yet.
        Ok(0) => Err(Attempt::lost(format!("its portmapper knows no {}", wanted.name))),
        Ok(port) => Ok(port),
        Err(_) => Err(Attempt::Final(
            Cause::Protocol(format!("through its portmapper with port {answer}")).into(),
        )),
    }
}

/// Asks MOUNT for the handle of the export's directory.
pub(super) async fn mount_export(server: &ServerConfig) -> Result<nfs_fh3, Failure> {
    let answer = persist(server.call_timeout, || async {
        let port = match server.mount_port {
            Some(port) => port,
            None => port_of(server, MOUNT).await?,
        };
        let arguments = dirpath(Opaque::borrowed(server.export.as_bytes()));
        let procedure = MOUNT_PROGRAM::MOUNTPROC3_MNT as u32;
        Call { server, port, service: MOUNT, procedure, arguments }.make().await
    });
    match answer.await? {
        mountres3::Err(status) => Err(of_mount(status).into()),
        mountres3::Ok(done) => {
            let flavors = &done.auth_flavors;
            if !flavors.is_empty() && !flavors.contains(&(auth_flavor::AUTH_UNIX as u32)) {
                let text = "it wants Kerberos for this export, which hawser has not (sec=sys)";
                return Err(Cause::Denied(text.into()).into());
            }
            Ok(nfs_fh3 { data: done.fhandle.0 })
        }
    }
}

struct Call<'a, A> {
    server: &'a ServerConfig,
    port: u16,
    service: Service,
    procedure: u32,
    arguments: A,
}

impl<A: Pack + Send + Sync> Call<'_, A> {
    async fn make<R: Unpack>(&self) -> Result<R, Attempt> {
        let Self { server, port, service, .. } = self;
        let stream =
            connect(server, *port).await.map_err(|error| Attempt::broken(&error, service.name))?;
        // NULL and the portmapper want no credential and take one; some servers log its absence.
        let mut client =
            RpcClient::new_with_auth(stream, credential(server), opaque_auth::default());
        let answer =
            client.call(service.program, service.version, self.procedure, &self.arguments).await;
        answer.map_err(|error| Attempt::failed(&error, service.name))
    }
}
