//! The files of the CA and of the nodes' certificates.
//!
//! ```text
//! DIR/ca.pem  DIR/ca.key         the CA; its key leaves this directory for nobody
//! OUT/NAME.pem  OUT/NAME.key     a node's; of the pair before, after a renewal: .pem.old, .key.old
//! ```
//!
//! Keys are root's alone (0600) from their first moment. Nothing is written over: a CA never, a node's
//! pair only when a renewal is asked for. What is made is checked as a node checks it before it is
//! written, so that a key of another CA is found here and not on the node.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Authority, Pair, Validity};
use crate::{
    peer::identity::check::{Anchors, CheckError, Credentials, Owner},
    sys::durable,
    volume::NodeName,
};

/// Anybody may read a certificate.
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// What to do with a node's certificate that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is made.
    Refuse,
    /// It is kept under another name, and a new one takes its place.
    Renew,
}

/// The two files that were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A CA is there.
    #[error(
        "{0} is there already, and a CA is never overwritten: every node's certificate depends on it. To replace the CA, make the new one in another directory"
    )]
    AuthorityExists(PathBuf),
    /// A node is to believe another CA, and was told by hand whom to believe.
    #[error(
        "{} was not written by `hawser agent` and has other certificates than {}: hawser has another CA on this host. Nothing was changed; put the same certificates into both, or remove the former",
        path.display(), dir.join("ca.pem").display()
    )]
    OthersBelieved {
        /// The file.
        path: PathBuf,
        /// Where the CA is.
        dir: PathBuf,
    },
    /// A node's certificate is there.
    #[error(
        "{0} is there already: nothing was changed. `--renew` makes a new key and certificate, and keeps these as .old"
    )]
    NodeExists(PathBuf),
    /// The node's files would have the CA's names.
    #[error("a node cannot have the name `{0}` here: the CA's own files are called so")]
    NameOfTheAuthority(NodeName),
    /// There is no CA to sign with.
    #[error("cannot read {path}: {reason}; `hawser pki init` makes a CA")]
    NoAuthority {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The CA's key is none.
    #[error("{path} is not a key that hawser made: {reason}")]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: rcgen::Error,
    },
    /// What was signed would not be believed.
    #[error(
        "nothing was made, since the nodes would not believe it: {reason}. Are {ca} and ca.key beside it of one CA, and is that the CA of cluster `{cluster}`?"
    )]
    Unbelievable {
        /// The CA's certificate.
        ca: PathBuf,
        /// The cluster that was stated.
        cluster: String,
        /// What a node would say.
        reason: CheckError,
    },
    /// The CA ends first.
    #[error(
        "the CA in {ca} ends on {day}, before the certificate would: state fewer --days, or replace the CA"
    )]
    OutlivesAuthority {
        /// The CA's certificate.
        ca: PathBuf,
        /// Its last day.
        day: String,
    },
    /// It could not be signed.
    #[error("cannot make the certificate")]
    Sign(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write {path}: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

/// Makes a CA in a directory, which is made if it is missing.
///
/// # Errors
/// When there is one, even half of one.
pub fn make_authority(dir: &Path, cluster: &str, validity: Validity) -> Result<Files, PkiError> {
    let files = pair_in(dir, "ca");
    for path in [&files.certificate, &files.key] {
        if is_there(path)? {
            return Err(PkiError::AuthorityExists(path.clone()));
        }
    }
    make_dir(dir)?;
    let pair = Authority::new(cluster)?.pair(validity)?;
    write_new(&files, &pair, PkiError::AuthorityExists)?;
    Ok(files)
}

/// Makes a node's certificate and key in `out`, signed by the CA in `dir`.
///
/// # Errors
/// When it is there and not to be renewed, and when a node would not believe it.
pub fn make_node(
    (dir, cluster): (&Path, &str),
    node: &NodeName,
    out: &Path,
    validity: Validity,
    existing: Existing,
) -> Result<Files, PkiError> {
    if node.as_str().eq_ignore_ascii_case("ca") {
        return Err(PkiError::NameOfTheAuthority(node.clone()));
    }
    let files = pair_in(out, node.as_str());
    let (certificate, key) = (is_there(&files.certificate)?, is_there(&files.key)?);
    if existing == Existing::Refuse && (certificate || key) {
        let path = if certificate { files.certificate } else { files.key };
        return Err(PkiError::NodeExists(path));
    }
    let pair = sign(dir, cluster, node, validity)?;
    make_dir(out)?;
    match existing {
        Existing::Refuse => write_new(&files, &pair, PkiError::NodeExists)?,
        Existing::Renew => replace(&files, &pair)?,
    }
    Ok(files)
}

pub(super) fn sign(
    dir: &Path,
    cluster: &str,
    node: &NodeName,
    validity: Validity,
) -> Result<Pair, PkiError> {
    let files = pair_in(dir, "ca");
    let read = |path: &PathBuf| {
        fs::read_to_string(path)
            .map_err(|reason| PkiError::NoAuthority { path: path.clone(), reason })
    };
    let (ca, key) = (read(&files.certificate)?, read(&files.key)?);
    let authority = Authority::from_key(cluster, &key)
        .map_err(|reason| PkiError::BadKey { path: files.key.clone(), reason })?;
    let pair = authority.issue(node, validity)?;
    let path = files.certificate;
    let believed = Anchors::read(ca.as_bytes()).and_then(|anchors| {
        let credentials = Credentials::read(pair.certificate.as_bytes(), pair.key.as_bytes())?;
        credentials.check(&anchors, Owner { cluster, node })?;
        Ok(anchors)
    });
    let anchors = believed.map_err(|reason| PkiError::Unbelievable {
        ca: path.clone(),
        cluster: cluster.to_owned(),
        reason,
    })?;
    match anchors.last_end() {
        Some(end) if end < validity.until => {
            Err(PkiError::OutlivesAuthority { ca: path, day: crate::peer::trust::day(end) })
        }
        Some(_) | None => Ok(pair),
    }
}

fn pair_in(dir: &Path, name: &str) -> Files {
    Files { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) }
}

/// The key first: a certificate without its key is of no use, and a run that was cut off in between is
/// found by either file.
fn write_new(files: &Files, pair: &Pair, exists: fn(PathBuf) -> PkiError) -> Result<(), PkiError> {
    let secret = [(&files.key, &pair.key, SECRET), (&files.certificate, &pair.certificate, PUBLIC)];
    for (path, text, mode) in secret {
        durable::create(path, text.as_bytes(), mode).map_err(|reason| {
            if reason.kind() == io::ErrorKind::AlreadyExists {
                exists(path.clone())
            } else {
                PkiError::Write { path: path.clone(), reason }
            }
        })?;
    }
    Ok(())
}

/// A node that reads between the two renames finds a key that does not fit, goes on with what it has,
/// and looks again.
pub(super) fn replace(files: &Files, pair: &Pair) -> Result<(), PkiError> {
    let secret = [(&files.key, &pair.key, SECRET), (&files.certificate, &pair.certificate, PUBLIC)];
    for (path, _, mode) in secret {
        match fs::read(path) {
            Ok(text) => write(&old(path), &text, mode)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(reason) => return Err(PkiError::Write { path: path.clone(), reason }),
        }
    }
    for (path, text, mode) in secret {
        write(path, text.as_bytes(), mode)?;
    }
    Ok(())
}

pub(super) fn write(path: &Path, text: &[u8], mode: u32) -> Result<(), PkiError> {
    durable::replace(path, text, mode)
        .map_err(|reason| PkiError::Write { path: path.to_owned(), reason })
}

fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

fn is_there(path: &Path) -> Result<bool, PkiError> {
    // Not followed: a link that leads nowhere is in the way, too.
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(reason) => Err(PkiError::Write { path: path.to_owned(), reason }),
    }
}

pub(super) fn make_dir(dir: &Path) -> Result<(), PkiError> {
    fs::create_dir_all(dir).map_err(|reason| PkiError::Write { path: dir.to_owned(), reason })
}
