//! The settings of the NFS backend, resolved: pure data. What they become on the wire and in a mount's
//! options is the backend's business.

use std::{fmt, str::FromStr, time::Duration};

use crate::spec::Bytes;

/// What the NFS backend is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsSettings {
    /// The cluster's name, which every volume's mark carries.
    pub cluster: String,
    /// Whose records say which volumes there are.
    pub records: Records,
    /// The key of the signature in each volume's mark; `None` is the cluster's name.
    pub secret: Option<Secret>,
    /// The exports, in the order of their names. At least one.
    pub exports: Vec<ExportSettings>,
}

/// Whose records say which volumes there are on the exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// Each node's own: a node that finds a volume's directory at a path that it was given joins it.
    Nodes,
    /// The cluster's, in a common store: a directory is of one record there, which all nodes know.
    Cluster,
}

/// An export of a server, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSettings {
    /// What the operator calls it: `[backends.nfs.NAME]`.
    pub name: String,
    /// Where it is.
    pub server: Server,
    /// The versions to mount with, in order of trial. At least one, none twice.
    pub versions: Vec<NfsVersion>,
    /// The port of NFS; `None` asks the portmapper (version 3), or is 2049 (version 4).
    pub port: Option<u16>,
    /// The port of MOUNT, which version 3 needs; `None` asks the portmapper.
    pub mount_port: Option<u16>,
    /// The port of the portmapper.
    pub portmapper_port: u16,
    /// How directories are made and deleted.
    pub control: Control,
    /// Whether connections come from a port below 1024, which many servers insist on.
    pub privileged_port: bool,
    /// Whom the server sees when hawser itself acts (AUTH_SYS).
    pub uid: u32,
    /// The group of that user.
    pub gid: u32,
    /// What a mount with version 3 does about locks.
    pub locks: Locks,
    /// How long a request waits for its answer before it is sent again. Whole tenths of a second.
    pub timeo: Duration,
    /// How often it is sent again before the kernel says in its log that the server does not answer.
    pub retrans: u32,
    /// Connections for each mount; `None` is the kernel's own choice.
    pub nconnect: Option<u8>,
    /// The largest read in bytes; `None` is what kernel and server agree on.
    pub rsize: Option<u32>,
    /// The largest write in bytes; `None` is what kernel and server agree on.
    pub wsize: Option<u32>,
    /// Whether the kernel's connections come from a port of 1024 or more.
    pub noresvport: bool,
    /// The operator's own mount options, each as mount(8) writes it.
    pub options: Vec<String>,
    /// What happens to new mounts of a volume that uses more than its size.
    pub over_limit: OverLimit,
    /// How often what volumes use is measured; `None` is never.
    pub measure_every: Option<Duration>,
    /// How many calls a second measuring makes at most.
    pub measure_rate: u32,
    /// Free space of the export that no volume is promised.
    pub margin: Bytes,
}

/// A server and the directory that it exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an address; an IPv6 address stands here without its brackets.
    pub host: String,
    /// The exported directory: absolute, without `/` at its end unless it is the root.
    pub path: String,
    /// Whose server it is.
    pub kind: ServerKind,
}

/// Whose server it is, as far as that changes what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Anybody's.
    Filer,
    /// Amazon's EFS: NFSv4.0 and 4.1 only, no portmapper, any source port.
    Efs,
}

/// A version of NFS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NfsVersion {
    /// NFSv4.2.
    V4_2,
    /// NFSv4.1.
    V4_1,
    /// NFSv4.0.
    V4_0,
    /// NFSv3.
    V3,
}

/// How hawser itself makes, measures and deletes directories on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// By NFSv3, in user space.
    V3,
    /// Through a mount of the kernel's, for servers without NFSv3.
    Mount,
}

/// What a mount with version 3 does about locks, which its server may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// Without the server's lock manager there is no mount.
    Refuse,
    /// Locks hold on each node alone.
    Local,
}

/// What happens to new mounts of a volume that uses more than its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverLimit {
    /// They are made, and it is told.
    Warn,
    /// They are refused.
    Refuse,
}

/// A key. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A key.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The key, for whoever signs with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, path, kind: _ } = self;
        if host.contains(':') { write!(f, "[{host}]:{path}") } else { write!(f, "{host}:{path}") }
    }
}

impl NfsVersion {
    /// All, the newest first.
    pub const ALL: [Self; 4] = [Self::V4_2, Self::V4_1, Self::V4_0, Self::V3];

    /// As the mount option `vers=` takes it.
    #[must_use]
    pub const fn number(self) -> &'static str {
        match self {
            Self::V4_2 => "4.2",
            Self::V4_1 => "4.1",
            Self::V4_0 => "4.0",
            Self::V3 => "3",
        }
    }
}

impl FromStr for NfsVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|version| version.number() == text);
        found.ok_or_else(|| format!("`{text}` is no version of NFS here: use 4.2, 4.1, 4.0 or 3"))
    }
}

impl fmt::Display for NfsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.number())
    }
}

impl FromStr for Locks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "local" => Ok(Self::Local),
            _ => Err("must be refuse or local".into()),
        }
    }
}

impl FromStr for OverLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "warn" => Ok(Self::Warn),
            "refuse" => Ok(Self::Refuse),
            _ => Err("must be warn or refuse".into()),
        }
    }
}
