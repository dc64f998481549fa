//! The files of a CA and of nodes, in directories.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{
    files::{Existing, PkiError, make_authority, make_node},
    *,
};
use crate::peer::{
    identity::{Identity, PeerConfig},
    testing::{node, read},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn load(dir: &Path, name: &str) -> Result<Identity, crate::peer::identity::IdentityError> {
    Identity::load(PeerConfig {
        cluster: "prod".to_owned(),
        node: node(name),
        ca: dir.join("ca.pem"),
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    })
}

fn with_authority() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    make_authority(dir.path(), "prod", Validity::days(AUTHORITY_DAYS)).unwrap();
    dir
}

fn make(dir: &Path, name: &str, existing: Existing) -> Result<files::Files, PkiError> {
    make_node((dir, "prod"), &node(name), dir, Validity::days(NODE_DAYS), existing)
}

#[test]
fn a_ca_and_a_nodes_certificate_make_an_identity_and_keys_are_roots_alone() {
    let dir = with_authority();

    let files = make(dir.path(), "Node_1.x", Existing::Refuse).unwrap();

    load(dir.path(), "Node_1.x").unwrap();
    for key in [files.key, dir.path().join("ca.key")] {
        assert_eq!(mode(&key), 0o600, "{}", key.display());
    }
    assert_eq!(mode(&files.certificate), 0o644);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "a draft is left");
}

#[test]
fn a_ca_is_never_overwritten_nor_is_half_of_one() {
    for lost in [None, Some("ca.pem"), Some("ca.key")] {
        let dir = with_authority();
        if let Some(lost) = lost {
            fs::remove_file(dir.path().join(lost)).unwrap();
        }
        let before = fs::read(dir.path().join("ca.key")).ok();

        let error = make_authority(dir.path(), "prod", Validity::days(1)).unwrap_err();

        assert!(matches!(error, PkiError::AuthorityExists(_)), "{error}");
        assert_eq!(fs::read(dir.path().join("ca.key")).ok(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), if lost.is_some() { 1 } else { 2 });
    }
}

#[test]
fn a_nodes_pair_is_renewed_when_it_is_asked_for_and_the_one_before_is_kept() {
    let dir = with_authority();
    let files = make(dir.path(), "n1", Existing::Refuse).unwrap();
    let (certificate, key) = (read(&files.certificate), read(&files.key));

    let error = make(dir.path(), "n1", Existing::Refuse).unwrap_err();
    assert!(error.to_string().contains("--renew"), "{error}");
    assert_eq!(read(&files.certificate), certificate);
    make(dir.path(), "n1", Existing::Renew).unwrap();

    load(dir.path(), "n1").unwrap();
    assert_ne!(read(&files.key), key, "it has a new key");
    assert_eq!(read(&dir.path().join("n1.pem.old")), certificate);
    assert_eq!(read(&dir.path().join("n1.key.old")), key);
    assert_eq!(mode(&dir.path().join("n1.key.old")), 0o600);
    make(dir.path(), "n1", Existing::Renew).unwrap();
}

#[test]
fn a_node_does_not_take_the_cas_place() {
    let dir = with_authority();
    let key = read(&dir.path().join("ca.key"));
    for name in ["ca", "CA"] {
        let error = make(dir.path(), name, Existing::Renew).unwrap_err();
        assert!(matches!(error, PkiError::NameOfTheAuthority(_)), "{error}");
    }
    assert_eq!(read(&dir.path().join("ca.key")), key);
}

/// Found where it is made, and not on the node.
#[test]
fn nothing_is_made_that_no_node_would_believe() {
    let (dir, other) = (with_authority(), with_authority());
    let wrong_cluster = make_node(
        (dir.path(), "test"),
        &node("n1"),
        dir.path(),
        Validity::days(1),
        Existing::Refuse,
    );
    let error = wrong_cluster.unwrap_err().to_string();
    assert!(error.contains("cluster `test`"), "{error}");
    fs::copy(other.path().join("ca.key"), dir.path().join("ca.key")).unwrap();
    let error = make(dir.path(), "n1", Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("of one CA"), "{error}");
    assert!(!dir.path().join("n1.pem").exists() && !dir.path().join("n1.key").exists());
    let nowhere = tempfile::tempdir().unwrap();
    let error = make(nowhere.path(), "n1", Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("hawser pki init"), "{error}");
}

#[test]
fn a_certificate_does_not_outlive_its_ca() {
    let dir = tempfile::tempdir().unwrap();
    make_authority(dir.path(), "prod", Validity::days(30)).unwrap();
    let error = make(dir.path(), "n1", Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("fewer --days"), "{error}");
}

/// While a CA is replaced, the file has both: the key's own signs.
#[test]
fn a_file_with_two_cas_signs_with_the_one_whose_key_is_there() {
    let (dir, old) = (with_authority(), with_authority());
    let both = read(&old.path().join("ca.pem")) + &read(&dir.path().join("ca.pem"));
    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    crate::sys::durable::create(&dir.path().join("ca.pem"), both.as_bytes(), 0o644).unwrap();

    make(dir.path(), "n1", Existing::Refuse).unwrap();

    load(dir.path(), "n1").unwrap();
}
