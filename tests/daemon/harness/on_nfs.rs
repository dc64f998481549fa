//! The settings that put a daemon on an NFS server of the tests', for all suites that have one.

use ganesha::Server;

/// Keys and values; NFS is the default backend.
pub(crate) fn settings(server: &Server) -> Vec<(&'static str, String)> {
    vec![
        ("daemon.cluster", "test".to_owned()),
        ("backends.nfs.fast.server", format!("127.0.0.1:{}", server.export().display())),
        ("backends.nfs.fast.port", server.port().to_string()),
        ("backends.nfs.fast.mount_port", server.mount_port().to_string()),
        ("backends.nfs.fast.margin", "16MiB".to_owned()),
        ("volumes.default_backend", "nfs".to_owned()),
    ]
}
