//! What is refused before anything is changed.

#![allow(clippy::disallowed_methods, reason = "test code writes scratch files")]

use std::{fs, path::Path};

use super::*;
use crate::{
    agent::testing::{Host, config},
    peer::pki::{Validity, files::make_authority},
};

pub(super) fn in_a_cluster(dir: &Path) -> Config {
    let path = |name: &str| dir.join(name).display().to_string();
    config(&[
        ("daemon.cluster", "prod"),
        ("daemon.node", "a"),
        ("daemon.admin_socket", &path("run/admin.sock")),
        ("daemon.state_dir", &path("state")),
        ("cluster.zookeeper", "localhost:2181"),
        ("peer.ca", &path("pki/ca.pem")),
        ("peer.certificate", &path("pki/node.pem")),
        ("peer.key", &path("pki/node.key")),
    ])
}

/// The units would be there, the socket be open, and Docker wait for a daemon that does not start.
#[tokio::test]
async fn nothing_is_installed_for_a_node_without_a_certificate() {
    let (host, dir) = (Host::new(), tempfile::tempdir().unwrap());

    let error = put(&host.place, &in_a_cluster(dir.path()), &Args { ca_dir: None }).await;

    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("security.ca_secret") && error.contains("pki/ca.pem"), "{error}");
    assert!(!host.place.unit("hawser.socket").exists());
    assert_eq!(host.calls(), [""; 0]);
}

#[tokio::test]
async fn the_certificate_of_another_installation_is_left_alone() {
    let (host, dir) = (Host::new(), tempfile::tempdir().unwrap());
    let ca_dir = dir.path().join("secret");
    make_authority(&ca_dir, "prod", Validity::days(3650)).unwrap();
    let unit = host.place.unit("hawser.service");
    fs::create_dir_all(unit.parent().unwrap()).unwrap();
    fs::write(&unit, "[Unit]\n").unwrap();

    let args = Args { ca_dir: Some(ca_dir) };
    let error = put(&host.place, &in_a_cluster(dir.path()), &args).await.unwrap_err();

    assert!(error.to_string().contains("was not written by"), "{error}");
    assert!(!dir.path().join("pki").exists());
}
