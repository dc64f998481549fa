//! Files that do not fit together: each with a sentence that says what to do.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::peer::{
    pki::{Authority, Validity},
    testing::{Files, authority, ca, expired, member, node},
};

#[track_caller]
fn refused<const N: usize>(config: PeerConfig, parts: [&str; N]) {
    let error = Identity::load(config).unwrap_err().to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
}

#[test]
fn a_right_identity_knows_whose_it_is_and_when_it_ends() {
    let files = member("n1", &authority());
    let identity = files.identity();
    assert_eq!((identity.cluster(), identity.node().as_str()), ("prod", "n1"));
    let left = identity.end().unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((23 * 3600..=24 * 3600).contains(&left.as_secs()), "{left:?}");
}

#[test]
fn what_is_missing_is_named() {
    for name in ["ca.pem", "node.pem", "node.key"] {
        let files = member("n1", &authority());
        fs::remove_file(files.path(name)).unwrap();
        refused(files.config(), ["cannot read", name, "hawser pki node"]);
    }
    let files = member("n1", &authority());
    files.write_ca("");
    refused(files.config(), ["the file of the CA has no certificate"]);
    let files = member("n1", &authority());
    let config = files.config();
    refused(PeerConfig { certificate: config.key.clone(), ..config.clone() }, ["no certificate"]);
    crate::sys::durable::replace(&config.key, b"x", 0o600).unwrap();
    refused(config, ["no private key"]);
}

#[test]
fn a_key_that_everybody_can_read_is_refused() {
    let files = member("n1", &authority());
    let key = files.path("node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(files.config(), ["everybody on this host can read the key", "chmod 600"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Identity::load(files.config()).is_ok(), "a group may");
}

#[test]
fn another_nodes_key_certificate_or_ca_is_refused_by_name() {
    let authority = authority();
    let (one, two) = (member("n1", &authority), member("n2", &authority));
    let config = one.config();
    refused(
        PeerConfig { key: two.path("node.key"), ..config.clone() },
        ["not that of the certificate"],
    );
    refused(PeerConfig { node: node("n2"), ..config.clone() }, ["node `n2`", "for another node"]);
    refused(PeerConfig { node: node("N1"), ..config.clone() }, ["for another node"]);
    refused(
        PeerConfig { cluster: "test".to_owned(), ..config },
        ["cluster `test`", "another cluster"],
    );
    one.write_ca(&ca(&Authority::new("prod").unwrap()));
    refused(one.config(), ["no CA in ca.pem signed"]);
}

#[test]
fn a_time_before_or_after_it_is_refused_with_the_day() {
    let authority = authority();
    let tomorrow = Validity {
        from: SystemTime::now() + Duration::from_secs(24 * 3600),
        until: SystemTime::now() + Duration::from_secs(48 * 3600),
    };
    for (validity, parts) in
        [(expired(), ["has expired (on 20", "--renew"]), (tomorrow, ["not valid yet", "clocks"])]
    {
        let pair = authority.issue(&node("n1"), validity).unwrap();
        refused(Files::new("n1", &ca(&authority), &pair).config(), parts);
    }
}

#[test]
fn a_ca_that_has_expired_is_believed_no_more() {
    let authority = authority();
    let files = member("n1", &authority);
    files.write_ca(&authority.pair(expired()).unwrap().certificate);
    refused(files.config(), ["the CA has expired on 20"]);
    // Beside one that has not, it is left out.
    let other = Authority::new("prod").unwrap();
    files.write_ca(&(authority.pair(expired()).unwrap().certificate + &ca(&other)));
    refused(files.config(), ["no CA in ca.pem signed"]);
}
