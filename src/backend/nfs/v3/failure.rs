//! What the protocol's errors mean for an operator.

use nfs3_client::{
    RpcError,
    nfs3_types::{mount::mountstat3, nfs3::nfsstat3, rpc::auth_stat},
};

use crate::backend::nfs::tree::Cause;

/// Why a call has no result: the server's word, where it is one that callers tell apart.
#[derive(Debug)]
pub(super) enum Failure {
    Status(nfsstat3),
    Cause(Cause),
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Status(status) => of_status(status),
            Failure::Cause(cause) => cause,
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what has no name of its own is told as it is")]
fn of_status(status: nfsstat3) -> Cause {
    match status {
        nfsstat3::NFS3ERR_PERM | nfsstat3::NFS3ERR_ACCES => Cause::Denied(status.to_string()),
        nfsstat3::NFS3ERR_ROFS => Cause::ReadOnly,
        nfsstat3::NFS3ERR_NOSPC | nfsstat3::NFS3ERR_DQUOT => Cause::Full(status.to_string()),
        nfsstat3::NFS3ERR_STALE | nfsstat3::NFS3ERR_BADHANDLE => Cause::Stale,
        nfsstat3::NFS3ERR_EXIST | nfsstat3::NFS3ERR_NOTEMPTY => Cause::Exists,
        nfsstat3::NFS3ERR_NOENT => Cause::NotFound,
        nfsstat3::NFS3ERR_JUKEBOX => {
            Cause::Protocol("that it is busy with it (NFS3ERR_JUKEBOX)".into())
        }
        _ => Cause::Protocol(status.to_string()),
    }
}

/// What MOUNT's refusal means.
pub(super) fn of_mount(status: mountstat3) -> Cause {
    Cause::NoExport(status.to_string())
}

/// What an answer that is none means. Lost connections are not among them: they are tried again.
#[expect(clippy::wildcard_enum_match_arm, reason = "what has no name of its own is told as it is")]
pub(super) fn of_rpc(error: &RpcError, service: &str) -> Cause {
    match error {
        RpcError::Auth(auth_stat::AUTH_TOOWEAK) => {
            Cause::Denied("AUTH_TOOWEAK: it wants a privileged port, or Kerberos".into())
        }
        RpcError::Auth(status) => Cause::Denied(status.to_string()),
        RpcError::ProgUnavail => Cause::Protocol(format!("that it has no {service} on this port")),
        RpcError::ProgMismatch { low, high } => {
            Cause::Protocol(format!("that it has other versions than {service}: {low} to {high}"))
        }
        other => Cause::Protocol(format!("what is no {service}: {other}")),
    }
}
