//! What is refused before anything is changed.

#![allow(clippy::disallowed_methods, reason = "test code writes scratch files")]

use std::{fs, path::Path};

use axum::{Json, Router, routing::get};
use serde_json::json;

use super::*;
use crate::{
    agent::testing::{Host, config},
    engine::Callers,
    http::socket::Socket,
    peer::pki::{Validity, files::make_authority},
};

fn in_a_cluster(dir: &Path) -> Config {
    let path = |name: &str| dir.join(name).display().to_string();
    config(&[
        ("daemon.cluster", "prod"),
        ("daemon.node", "a"),
        ("daemon.admin_socket", &path("run/admin.sock")),
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

fn volume(name: &str, owner: &str) -> serde_json::Value {
    let golden = fs::read_to_string("tests/golden/volume-info.json").unwrap();
    let mut volume: serde_json::Value = serde_json::from_str(&golden).unwrap();
    volume["name"] = json!(name);
    volume["owner"] = json!(owner);
    volume
}

#[tokio::test]
async fn volumes_that_tasks_of_other_nodes_use_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = in_a_cluster(dir.path());
    assert_eq!(served(&config).await.unwrap(), [""; 0]);
    fs::create_dir_all(dir.path().join("run/share/1")).unwrap();
    let error = served(&config).await.unwrap_err();
    assert!(error.to_string().contains("start hawser"), "{error}");
    let socket = Socket::bind(&config.admin_socket).unwrap();
    let has = |node: &str, mounted| {
        let presence = json!({"attached": mounted, "mounted": mounted, "holders": [], "doing": null, "failure": null});
        json!({"node": node, "presence": presence, "error": null})
    };
    let silent = json!({"node": "c", "presence": null, "error": "no answer"});
    let nodes = json!([has("a", true), has("b", true), silent, has("d", false)]);
    let found = json!({
        "name": "shop", "id": volume("shop", "a")["id"], "backend": "ebs", "owner": "a", "epoch": 1,
        "fencing": null, "nodes": nodes,
    });
    let router = Router::new()
        .route("/volumes", get(async || Json(json!([volume("shop", "a"), volume("theirs", "b")]))))
        .route("/volumes/shop/where", get(async move || Json(found)));
    tokio::spawn(socket.serve(router, Callers::new().unwrap(), CancellationToken::new()));

    let served = served(&config).await.unwrap();

    assert_eq!(served, ["shop (on b)", "shop (on c)"]);
}
