//! A node's certificate where its daemon looks for it: made when there is none, and anew before it ends.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    Authority, NODE_DAYS, Validity,
    files::{Files, PkiError, make_dir, replace, sign, write},
};
use crate::{
    peer::identity::check::{Anchors, Credentials, Owner},
    volume::NodeName,
};

/// So long before its end a certificate is replaced.
const BEFORE_ITS_END: Duration = Duration::from_secs(30 * 24 * 3600);

/// By this a file of authorities is known as one that may be replaced. What reads PEM skips it.
const MARK: &str = "# Written by `hawser agent`: changes here are lost.\n";

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

/// Gives the node a certificate of the CA in `dir`, unless it has one that is believed, was signed with the
/// key that is there now, and does not end soon. True if one was made.
///
/// # Errors
/// When the CA is not there, the node would not believe what it signs, or it believes others by another
/// hand's will; then nothing was changed.
pub fn certify(
    dir: &Path,
    (cluster, node): (&str, &NodeName),
    installed: Installed<'_>,
) -> Result<bool, PkiError> {
    let path = dir.join("ca.pem");
    let ca = fs::read(&path).map_err(|reason| PkiError::NoAuthority { path, reason })?;
    let trust = [MARK.as_bytes(), &ca].concat();
    let present = trusted(installed.ca)?;
    if present
        .as_ref()
        .is_some_and(|present| *present != ca && !present.starts_with(MARK.as_bytes()))
    {
        return Err(PkiError::OthersBelieved { path: installed.ca.into(), dir: dir.into() });
    }
    let made = if is_good(dir, &ca, Owner { cluster, node }, installed) {
        None
    } else {
        Some(sign(dir, cluster, node, Validity::days(NODE_DAYS))?)
    };
    for file in [installed.ca, installed.certificate, installed.key] {
        if let Some(parent) = file.parent() {
            make_dir(parent)?;
        }
    }
    if present.is_none_or(|present| present != trust) {
        write(installed.ca, &trust, 0o644)?;
    }
    if let Some(pair) = &made {
        let files = Files { certificate: installed.certificate.into(), key: installed.key.into() };
        replace(&files, pair)?;
    }
    Ok(made.is_some())
}

fn trusted(path: &Path) -> Result<Option<Vec<u8>>, PkiError> {
    match fs::read(path) {
        Ok(present) => Ok(Some(present)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(PkiError::Write { path: path.to_owned(), reason }),
    }
}

fn is_good(dir: &Path, ca: &[u8], owner: Owner<'_>, installed: Installed<'_>) -> bool {
    let (Ok(certificate), Ok(key), Ok(anchors), Some(signer)) = (
        fs::read(installed.certificate),
        fs::read(installed.key),
        Anchors::read(ca),
        signer(dir, owner.cluster),
    ) else {
        return false;
    };
    let Ok(credentials) = Credentials::read(&certificate, &key) else { return false };
    let lasts = credentials.end().is_some_and(|end| end > SystemTime::now() + BEFORE_ITS_END);
    let believed = |by: &Anchors| credentials.check(by, owner).is_ok();
    lasts && believed(&anchors) && believed(&signer)
}

/// The one CA whose key is there: while it is replaced, two are believed.
fn signer(dir: &Path, cluster: &str) -> Option<Anchors> {
    let key = fs::read_to_string(dir.join("ca.key")).ok()?;
    let pair = Authority::from_key(cluster, &key).ok()?.pair(Validity::days(1)).ok()?;
    Anchors::read(pair.certificate.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{
        identity::{Identity, PeerConfig},
        pki::files::make_authority,
    };

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
    fn what_another_hand_had_it_believe_is_left_alone() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make_authority(dir.path(), "prod", Validity::days(3650)).unwrap();
        let ca = files.path().join("ca.pem");
        let (certificate, key) = (files.path().join("node.pem"), files.path().join("node.key"));
        let installed = Installed { ca: &ca, certificate: &certificate, key: &key };
        let certify = || certify(dir.path(), ("prod", &"a".parse().unwrap()), installed);
        write(&ca, b"another CA's", 0o644).unwrap();

        let error = certify().unwrap_err();

        assert!(matches!(error, PkiError::OthersBelieved { .. }), "{error}");
        assert_eq!(fs::read(&ca).unwrap(), b"another CA's");
        assert!(!certificate.exists() && !key.exists());
        // By hand, and the same.
        fs::copy(dir.path().join("ca.pem"), &ca).unwrap();
        assert!(certify().unwrap());
        assert!(!certify().unwrap());
    }

    /// First both CAs are believed, then the new one signs, then only the new one is believed.
    #[test]
    fn a_ca_is_replaced_in_three_steps() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = |name: &str| {
            let dir = dir.path().join(name);
            make_authority(&dir, "prod", Validity::days(3650)).unwrap();
            let read = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
            (read("ca.pem"), read("ca.key"))
        };
        let (old, new) = (authority("old"), authority("new"));
        let secret = dir.path().join("secret");
        make_dir(&secret).unwrap();
        let step = |ca: &str, key: &str| {
            write(&secret.join("ca.pem"), ca.as_bytes(), 0o600).unwrap();
            write(&secret.join("ca.key"), key.as_bytes(), 0o600).unwrap();
            made(&secret, "a", files.path())
        };
        let both = format!("{}{}", old.0, new.0);

        assert!(step(&old.0, &old.1));
        assert!(!step(&both, &old.1), "the one that it has is believed everywhere");
        let trust = fs::read_to_string(files.path().join("pki/ca.pem")).unwrap();
        assert!(trust.ends_with(&both), "{trust}");
        assert!(step(&both, &new.1), "the one that it has is the old CA's");
        assert!(!step(&new.0, &new.1));
        let trust = fs::read_to_string(files.path().join("pki/ca.pem")).unwrap();
        assert!(!trust.contains(&old.0) && trust.ends_with(&new.0), "{trust}");
        let at = |name: &str| files.path().join("pki").join(name);
        Identity::load(PeerConfig {
            cluster: "prod".to_owned(),
            node: "a".parse().unwrap(),
            ca: at("ca.pem"),
            certificate: at("node.pem"),
            key: at("node.key"),
        })
        .unwrap();
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
