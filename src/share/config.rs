//! What NFS-Ganesha is told about one volume; pure.
//!
//! The server is the volume's and not the host's: clients are to find the same server again on another
//! node. So all that they know it by is made of the volume's UUID:
//!
//! | what | of the UUID | what depends on it |
//! |---|---|---|
//! | scope and owner | all of it, as text | whether a client takes its locks and open files along |
//! | path (`Pseudo`) | all of it, as text | which volume is mounted: never another one by mistake |
//! | `Export_Id` | the first 16 bits, mod 65535, plus 1 | a part of every file handle |
//! | `Filesystem_Id` | the halves, 64 bits each | what clients tell file systems apart by |
//!
//! An export id is the same for one volume in 65535, which does no harm: each process has one export,
//! and a handle also has the UUID of the file system.
//!
//! Nothing is cached that a task on the owner may change behind the server's back
//! (`Attr_Expiration_Time = 0`), no delegation is given, and NFSv4.0 is not served, whose locks have no
//! sessions.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

/// One volume, as it is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The volume.
    pub volume: Uuid,
    /// The directory that tasks see: the export's root.
    pub data: PathBuf,
    /// Where the server keeps who its clients are, for the next owner. On the volume, and outside of
    /// what tasks see.
    pub recovery: PathBuf,
    /// Whom a client's root is taken for.
    pub squash: Squash,
    /// How long clients are waited for.
    pub times: Times,
}

/// Whom a client's root is taken for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Squash {
    /// For root: a container's root owns its files on every node.
    #[default]
    Nobody,
    /// For nobody: uid and gid 65534, as Linux has it, and not Ganesha's -2.
    Root,
}

/// How long clients are waited for, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// A client that was not heard of for so long loses its locks. It also says how often Ganesha
    /// looks whether the grace period can end: each half of it, and at least every 10 s.
    pub lease: Duration,
    /// For so long a new server waits for the clients of the last one, before it gives a lock to
    /// anybody else: less where all of them have come.
    pub grace: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { lease: Duration::from_secs(10), grace: Duration::from_secs(10) }
    }
}

/// What cannot be said in Ganesha's language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It has no way to write such a path.
    #[error(
        "export {}: NFS-Ganesha cannot be told a path with a quotation mark, a backslash or a \
         control character: choose another root directory", .0.display()
    )]
    Path(PathBuf),
    /// Ganesha takes a lease from 1 to 120 s, and a grace period from 1 to 180 s.
    #[error("export with a lease of {:?} and a grace period of {:?}: at least 1 s each, and at most 120 s and 180 s", .0.lease, .0.grace)]
    Times(Times),
}

/// What clients mount: a path that no other volume has.
#[must_use]
pub fn pseudo_path(volume: &Uuid) -> String {
    format!("/{volume}")
}

/// The whole configuration of the server, listening on a port of its network namespace.
///
/// # Errors
/// See [`ConfigError`].
pub fn text(export: &Export, port: u16) -> Result<String, ConfigError> {
    let Export { volume, data, recovery, squash, times } = export;
    let (data, recovery) = (quoted(data)?, quoted(recovery)?);
    let (lease, grace) = (times.lease.as_secs(), times.grace.as_secs());
    if !(1..=120).contains(&lease) || !(1..=180).contains(&grace) {
        return Err(ConfigError::Times(*times));
    }
    let (high, low) = volume.as_u64_pair();
    let (id, pseudo) = (export_id(volume), pseudo_path(volume));
    // No Bind_addr: Ganesha then listens on all addresses of the namespace, which has loopback only.
    // With one it looks the address up in a way that wants a further interface (AI_ADDRCONFIG).
    Ok(format!(
        "NFS_CORE_PARAM {{
    NFS_Port = {port};
    Protocols = 4;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    mount_path_pseudo = true;
    fsid_device = false;
}}
NFSv4 {{
    Server_Scope = \"hawser-{volume}\";
    Server_Owner = \"hawser-{volume}\";
    RecoveryBackend = fs;
    RecoveryRoot = {recovery};
    Lease_Lifetime = {lease};
    Grace_Period = {grace};
    Minor_Versions = 1, 2;
    Delegations = false;
    Only_Numeric_Owners = true;
}}
EXPORT_DEFAULTS {{
    Protocols = 4;
    Transports = TCP;
    SecType = sys;
    Access_Type = RW;
    Squash = {squash};
    Attr_Expiration_Time = 0;
}}
EXPORT {{
    Export_Id = {id};
    Filesystem_Id = {high}.{low};
    Path = {data};
    Pseudo = {pseudo};
    FSAL {{ Name = VFS; fsid_type = uuid; }}
}}
NFS_KRB5 {{ Active_krb5 = false; }}
LOG {{ Default_Log_Level = EVENT; Components {{ DBUS = FATAL; NFS_CB = FATAL; }} }}
"
    ))
}

/// The port in what [`text`] wrote.
pub(super) fn port_of(text: &str) -> Option<u16> {
    let port = text.lines().find_map(|line| line.trim().strip_prefix("NFS_Port = "))?;
    port.strip_suffix(';')?.parse().ok()
}

/// From 1 to 65535: 0 is the export of the root that Ganesha makes itself.
fn export_id(volume: &Uuid) -> u16 {
    let [first, second, ..] = *volume.as_bytes();
    u16::from_be_bytes([first, second]) % u16::MAX + 1
}

fn quoted(path: &Path) -> Result<String, ConfigError> {
    let refused = || ConfigError::Path(path.to_owned());
    let text = path.to_str().ok_or_else(refused)?;
    if text.contains(|c: char| c == '"' || c == '\\' || c.is_control()) {
        return Err(refused());
    }
    Ok(format!("\"{text}\""))
}

impl fmt::Display for Squash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "No_Root_Squash",
            Self::Root => "Root_Squash;\n    Anonymous_Uid = 65534;\n    Anonymous_Gid = 65534",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export() -> Export {
        Export {
            volume: "00010203-0405-0607-0809-0a0b0c0d0e0f".parse().unwrap(),
            data: "/var/lib/hawser/stage/x y/data".into(),
            recovery: "/var/lib/hawser/stage/x y/.hawser".into(),
            squash: Squash::default(),
            times: Times::default(),
        }
    }

    #[test]
    fn what_clients_know_the_server_by_is_the_volume_s() {
        let text = text(&export(), 3001).unwrap();

        assert_eq!(port_of(&text), Some(3001));
        for line in [
            "NFS_Port = 3001;",
            "Server_Scope = \"hawser-00010203-0405-0607-0809-0a0b0c0d0e0f\";",
            "Server_Owner = \"hawser-00010203-0405-0607-0809-0a0b0c0d0e0f\";",
            "Pseudo = /00010203-0405-0607-0809-0a0b0c0d0e0f;",
            "Export_Id = 2;",
            "Filesystem_Id = 283686952306183.579005069656919567;",
            "Path = \"/var/lib/hawser/stage/x y/data\";",
            "RecoveryRoot = \"/var/lib/hawser/stage/x y/.hawser\";",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn squash_and_times_are_as_asked_for() {
        let plain = text(&export(), 3001).unwrap();
        let times = Times { lease: Duration::from_secs(20), grace: Duration::from_secs(30) };
        let other = Export { squash: Squash::Root, times, ..export() };
        let other = text(&other, 3001).unwrap();

        assert!(plain.contains("Squash = No_Root_Squash;"));
        assert!(other.contains("Anonymous_Uid = 65534;") && !plain.contains("Anonymous"));
        assert!(other.contains("Squash = Root_Squash;"));
        assert!(other.contains("Lease_Lifetime = 20;") && other.contains("Grace_Period = 30;"));
    }

    #[test]
    fn an_export_id_is_never_that_of_the_root() {
        for first in [0x0000, 0x0001, 0xfffe, 0xffff_u16] {
            let volume = Uuid::from_u128(u128::from(first) << 112);
            assert_ne!(export_id(&volume), 0, "{first:x}");
        }
    }

    #[test]
    fn a_path_that_would_become_a_setting_is_refused() {
        for path in ["/x\"; Squash = None; y = \"", "/x\ny", "/x\\"] {
            let export = Export { data: path.into(), ..export() };
            assert_eq!(text(&export, 1), Err(ConfigError::Path(path.into())));
        }
    }

    #[test]
    fn times_that_ganesha_would_refuse_are_refused_here() {
        for (lease, grace) in [(0, 10), (121, 10), (10, 0), (10, 181)] {
            let times =
                Times { lease: Duration::from_secs(lease), grace: Duration::from_secs(grace) };
            let refused = text(&Export { times, ..export() }, 1);
            assert_eq!(refused, Err(ConfigError::Times(times)));
        }
    }
}
