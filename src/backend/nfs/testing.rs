//! The settings of an export for tests.

use std::time::Duration;

use super::{Control, ExportSettings, Locks, NfsVersion, OverLimit, Server, ServerKind};
use crate::spec::Bytes;

/// The export `fast` of a server on loopback, with the defaults.
pub(super) fn export_of(filer: &ganesha::Server) -> ExportSettings {
    let path = filer.export().to_str().unwrap().to_owned();
    ExportSettings {
        name: "fast".into(),
        server: Server { host: "127.0.0.1".into(), path, kind: ServerKind::Filer },
        versions: NfsVersion::ALL.to_vec(),
        port: Some(filer.port()),
        mount_port: Some(filer.mount_port()),
        portmapper_port: 111,
        control: Control::V3,
        privileged_port: true,
        uid: 0,
        gid: 0,
        locks: Locks::Refuse,
        timeo: Duration::from_secs(60),
        retrans: 2,
        nconnect: None,
        rsize: None,
        wsize: None,
        noresvport: false,
        options: Vec::new(),
        over_limit: OverLimit::Warn,
        measure_every: None,
        measure_rate: 10_000,
        margin: Bytes::mib(1),
    }
}
