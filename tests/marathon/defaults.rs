//! What the configuration of a node says of new volumes, as the tests of specs and of apps take it.

use hawser::spec::{
    AttachPolicy, BackendKind, Bytes, Defaults, EbsDefaults, EbsType, FsType, NfsDefaults,
    Provision,
};

/// Of a node with local volumes alone.
pub(crate) fn local() -> Defaults {
    Defaults {
        backend: BackendKind::Local,
        size: Bytes::gib(10),
        anonymous_size: Bytes::gib(1),
        fs: FsType::Ext4,
        shared_fs: FsType::Xfs,
        provision: Provision::Thick,
        ebs: None,
        nfs: None,
    }
}

/// The same, with EBS.
pub(crate) fn with_ebs() -> Defaults {
    let ebs = EbsDefaults {
        volume_type: EbsType::Gp3,
        encrypted: None,
        kms_key: None,
        zone: None,
        attach: AttachPolicy::Stay,
    };
    Defaults { ebs: Some(ebs), ..local() }
}

/// The same as `local`, with these exports of NFS servers.
pub(crate) fn with_nfs(exports: &[&str]) -> Defaults {
    let exports = exports.iter().map(|&export| export.to_owned()).collect();
    Defaults { nfs: Some(NfsDefaults { exports, export: None }), ..local() }
}
