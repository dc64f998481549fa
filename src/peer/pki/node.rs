//! A node's certificate where its daemon looks for it: made when there is none, and anew before it ends.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    NODE_DAYS, Validity,
    files::{Files, PkiError, make_dir, replace, sign, write},
};
use crate::{
    peer::identity::check::{Anchors, Credentials, Owner},
    volume::NodeName,
};

/// So long before its end a certificate is replaced.
const BEFORE_ITS_END: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where a node's daemon looks.
#[derive(Debug, Clone, Copy)]
pub struct Installed<'a> {
    /// The authorities that it believes.
    pub ca: &'a Path,
    /// Its certificate.
    pub certificate: &'a Path,
    /// The key of that.
    pub key: &'a Path,
}

/// Gives the node a certificate of the CA in `dir`, unless it has one that is believed and does not end
/// soon. True if one was made.
///
/// # Errors
/// When the CA is not there, or the node would not believe what it signs; then nothing was changed.
pub fn certify(
    dir: &Path,
    (cluster, node): (&str, &NodeName),
    installed: Installed<'_>,
) -> Result<bool, PkiError> {
    let path = dir.join("ca.pem");
    let ca = fs::read(&path).map_err(|reason| PkiError::NoAuthority { path, reason })?;
    if is_good(&ca, Owner { cluster, node }, installed) {
        return Ok(false);
    }
    let pair = sign(dir, cluster, node, Validity::days(NODE_DAYS))?;
    for file in [installed.ca, installed.certificate, installed.key] {
        if let Some(parent) = file.parent() {
            make_dir(parent)?;
        }
    }
    write(installed.ca, &ca, 0o644)?;
    let files = Files { certificate: installed.certificate.into(), key: installed.key.into() };
    replace(&files, &pair)?;
    Ok(true)
}

fn is_good(ca: &[u8], owner: Owner<'_>, installed: Installed<'_>) -> bool {
    let believed = fs::read(installed.ca).is_ok_and(|believed| believed == ca);
    let (Ok(certificate), Ok(key), Ok(anchors)) =
        (fs::read(installed.certificate), fs::read(installed.key), Anchors::read(ca))
    else {
        return false;
    };
    let Ok(credentials) = Credentials::read(&certificate, &key) else { return false };
    let lasts = credentials.end().is_some_and(|end| end > SystemTime::now() + BEFORE_ITS_END);
    believed && lasts && credentials.check(&anchors, owner).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::pki::files::make_authority;

    fn made(dir: &Path, node: &str, files: &Path) -> bool {
        let (ca, certificate, key) =
            (files.join("pki/ca.pem"), files.join("pki/node.pem"), files.join("pki/node.key"));
        let installed = Installed { ca: &ca, certificate: &certificate, key: &key };
        certify(dir, ("prod", &node.parse().unwrap()), installed).unwrap()
    }

    #[test]
    fn a_certificate_is_made_once_and_again_for_another_node_or_another_ca() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = |name: &str| {
            let dir = dir.path().join(name);
            make_authority(&dir, "prod", Validity::days(3650)).unwrap();
            dir
        };
        let (first, second) = (authority("first"), authority("second"));

        assert!(made(&first, "a", files.path()));
        assert!(!made(&first, "a", files.path()));
        assert!(made(&first, "b", files.path()), "it is of another name");
        assert!(made(&second, "b", files.path()), "its CA is not believed any more");
        assert!(!made(&second, "b", files.path()));
    }

    #[test]
    fn one_that_ends_soon_is_replaced_and_kept_as_old() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make_authority(dir.path(), "prod", Validity::days(3650)).unwrap();
        assert!(made(dir.path(), "a", files.path()));
        let node = "a".parse().unwrap();
        let soon = sign(dir.path(), "prod", &node, Validity::days(29)).unwrap();
        let at = files.path().join("pki");
        let present = Files { certificate: at.join("node.pem"), key: at.join("node.key") };
        replace(&present, &soon).unwrap();

        assert!(made(dir.path(), "a", files.path()));

        let old = fs::read_to_string(at.join("node.pem.old")).unwrap();
        assert_eq!(old, soon.certificate);
    }
}
