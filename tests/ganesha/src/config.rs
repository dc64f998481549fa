//! What a server may be told, and the configuration file that says it.

use std::path::Path;

use crate::Filesystem;

/// How a server is to be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Which versions it serves.
    pub protocols: Protocols,
    /// Whom it takes clients' root for.
    pub squash: Squash,
    /// Whether clients may write.
    pub access: Access,
    /// Which ports clients may call from.
    pub source_ports: SourcePorts,
    /// What the exported directory lies on.
    pub filesystem: Filesystem,
    /// A directory of the export that another file system is mounted on, if any.
    pub mounted_below: Option<&'static str>,
}

/// Versions of NFS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocols {
    /// Version 3 with MOUNT.
    V3,
    /// Version 4 only.
    V4,
    /// Both.
    #[default]
    Both,
}

/// Whom clients' users are taken for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Squash {
    /// For themselves.
    #[default]
    Nobody,
    /// Root is taken for nobody.
    Root,
}

/// What clients may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    #[default]
    ReadWrite,
    /// Read.
    ReadOnly,
}

/// Which ports clients may call from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourcePorts {
    /// Any.
    #[default]
    Any,
    /// Those below 1024.
    Privileged,
}

/// The ports of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) nfs: u16,
    pub(crate) mount: u16,
}

/// The configuration file. Attributes are not cached, since tests look and change behind the server's
/// back. No `Filesystem_Id`: with it, Ganesha shows all file systems below as one. `export` is shown as itself to NFSv3 and as `/vol` to NFSv4.
pub(crate) fn file(options: &Options, ports: Ports, private: &Path, export: &Path) -> String {
    let Ports { nfs, mount } = ports;
    let protocols = match options.protocols {
        Protocols::V3 => "3",
        Protocols::V4 => "4",
        Protocols::Both => "3, 4",
    };
    let squash = match options.squash {
        Squash::Nobody => "No_Root_Squash",
        Squash::Root => "Root_Squash",
    };
    let access = match options.access {
        Access::ReadWrite => "RW",
        Access::ReadOnly => "RO",
    };
    let privileged = options.source_ports == SourcePorts::Privileged;
    let (export, recovery) = (export.display(), private.join("recovery"));
    let recovery = recovery.display();
    format!(
        "NFS_CORE_PARAM {{
    Protocols = {protocols};
    NFS_Port = {nfs};
    MNT_Port = {mount};
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
}}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {recovery}; }}
EXPORT {{
    Export_Id = 1;
    Path = {export};
    Pseudo = /vol;
    Protocols = {protocols};
    Transports = TCP;
    Access_Type = {access};
    Squash = {squash};
    PrivilegedPort = {privileged};
    SecType = sys;
    Attr_Expiration_Time = 0;
    FSAL {{ Name = VFS; }}
}}
"
    )
}
