//! A node that other nodes would wait for does not go.

#![allow(clippy::disallowed_methods, reason = "test code writes scratch files")]

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{super::tests::in_a_cluster, *};
use crate::{
    agent::{Environment, install, testing::Host},
    cluster::{Embedded, Urgency},
    engine::{Callers, Drained},
    http::socket::Socket,
    spec::AttachPolicy,
    sys::testing::until,
    volume::{Lease, Owner, Record, testing},
};

fn volume(name: &str, backend: &str, owner: &str) -> Value {
    let golden = fs::read_to_string("tests/golden/volume-info.json").unwrap();
    let mut volume: Value = serde_json::from_str(&golden).unwrap();
    volume["name"] = json!(name);
    volume["owner"] = json!(owner);
    if backend == "ebs" {
        volume["spec"]["backend"] = json!(testing::ebs(AttachPolicy::Stay));
    }
    volume
}

impl Host {
    async fn installed() -> Self {
        let (host, none) = (Self::new(), Environment::of(|_| None));
        install(&host.place, b"hawser".into(), &none, &host.config).await.unwrap();
        host.calls();
        host
    }

    /// Nothing was stopped, and nothing is gone.
    #[track_caller]
    fn assert_as_it_was(&self) {
        assert_eq!(self.calls(), [""; 0]);
        assert!(self.place.program().exists() && self.place.unit("hawser.service").exists());
    }
}

fn serve(config: &Config, router: Router) {
    let socket = Socket::bind(&config.admin_socket).unwrap();
    tokio::spawn(socket.serve(router, Callers::new().unwrap(), CancellationToken::new()));
}

/// A daemon whose node, `a`, owns what is left of these volumes after it was drained.
fn owning(volumes: &[Value], drained: &Drained) -> Router {
    let asked = Arc::new(AtomicBool::new(false));
    let (told, volumes) = (Arc::clone(&asked), volumes.to_vec());
    let drained = drained.clone();
    let drain = async move |Json(request): Json<Value>| {
        assert_eq!(request, json!({"drained": true}));
        told.store(true, Ordering::SeqCst);
        Json(drained)
    };
    let list = async move || {
        assert!(asked.load(Ordering::SeqCst), "it is to be drained first");
        Json(volumes)
    };
    Router::new().route("/nodes/a/drain", post(drain)).route("/volumes", get(list))
}

/// With `attach=stay` an idle volume is attached and owned; after the node went, each mount of it elsewhere
/// would wait and fail.
#[tokio::test]
async fn a_node_that_still_owns_what_others_could_have_does_not_go() {
    let (host, dir) = (Host::installed().await, tempfile::tempdir().unwrap());
    let config = in_a_cluster(dir.path());
    // The second is of a machine that had this node's name.
    let left = ["db", "web"].map(|name| volume(name, "ebs", "a"));
    let left = [&left[..], &[volume("disk", "local", "a"), volume("x", "ebs", "b")]].concat();
    let drained = Drained {
        released: vec!["web".into()],
        held: vec![("db".into(), "its detachment sticks".into())],
        local: vec!["disk".into()],
    };
    serve(&config, owning(&left, &drained));

    let error = leave(&host.place, &config).await.unwrap_err();

    let error = format!("{error:#}");
    assert!(error.contains("still owns db (its detachment sticks):"), "{error}");
    assert!(error.contains("hawser node drain --undo"), "{error}");
    assert!(!error.contains("disk") && !error.contains("web"), "{error}");
    host.assert_as_it_was();
}

#[tokio::test]
async fn a_node_that_gave_everything_free_goes_and_keeps_its_local_volumes() {
    let (host, dir) = (Host::installed().await, tempfile::tempdir().unwrap());
    let config = in_a_cluster(dir.path());
    let left = [volume("web", "ebs", ""), volume("disk", "local", "a")];
    let drained = Drained { local: vec!["disk".into()], ..Drained::default() };
    serve(&config, owning(&left, &drained));

    leave(&host.place, &config).await.unwrap();

    assert!(!host.place.unit("hawser.service").exists());
}

/// It could not be asked: its copy of the records says what it owns.
#[tokio::test]
async fn without_its_daemon_a_node_goes_only_where_its_records_say_that_it_owns_nothing() {
    let (host, dir) = (Host::installed().await, tempfile::tempdir().unwrap());
    let config = in_a_cluster(dir.path());
    fs::create_dir_all(&config.state_dir).unwrap();
    let lease = Lease::first(Owner { node: "a".parse().unwrap(), machine: None });
    let record = testing::on_ebs(testing::used_record(), AttachPolicy::Stay);
    store(&config, &Record { lease: lease.clone(), ..record.clone() }).await;

    let error = leave(&host.place, &config).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("pgdata") && error.contains("systemctl start hawser"), "{error}");
    assert!(error.contains("hawser node rm a --force"), "{error}");
    host.assert_as_it_was();

    // A daemon that has the store, and does not answer.
    let locked = Embedded::open(&config.state_dir).unwrap();
    let error = format!("{:#}", leave(&host.place, &config).await.unwrap_err());
    assert!(error.contains("systemctl start hawser"), "{error}");
    host.assert_as_it_was();
    drop(locked);
    until("the store's thread has ended", || Embedded::read(&config.state_dir).is_ok());

    store(&config, &Record { lease: lease.released(), ..record }).await;
    leave(&host.place, &config).await.unwrap();
    assert!(!host.place.unit("hawser.service").exists());
}

async fn store(config: &Config, record: &Record) {
    let (store, _) = Embedded::open(&config.state_dir).unwrap();
    store.put(record, Urgency::Release).await.unwrap();
    drop(store);
    until("the store's thread has ended", || Embedded::read(&config.state_dir).is_ok());
}

#[tokio::test]
async fn volumes_that_tasks_of_other_nodes_use_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = in_a_cluster(dir.path());
    assert_eq!(served(&config).await.unwrap(), [""; 0]);
    fs::create_dir_all(dir.path().join("run/share/1")).unwrap();
    let error = served(&config).await.unwrap_err();
    assert!(error.to_string().contains("start hawser"), "{error}");
    let has = |node: &str, mounted| {
        let presence = json!({"attached": mounted, "mounted": mounted, "holders": [], "doing": null, "failure": null});
        json!({"node": node, "presence": presence, "error": null})
    };
    let silent = json!({"node": "c", "presence": null, "error": "no answer"});
    let nodes = json!([has("a", true), has("b", true), silent, has("d", false)]);
    let found = json!({
        "name": "shop", "id": volume("shop", "ebs", "a")["id"], "backend": "ebs", "owner": "a", "epoch": 1,
        "fencing": null, "nodes": nodes,
    });
    let router = Router::new()
        .route(
            "/volumes",
            get(async || Json(json!([volume("shop", "ebs", "a"), volume("theirs", "ebs", "b")]))),
        )
        .route("/volumes/shop/where", get(async move || Json(found)));
    serve(&config, router);

    let served = served(&config).await.unwrap();

    assert_eq!(served, ["shop (on b)", "shop (on c)"]);
}
