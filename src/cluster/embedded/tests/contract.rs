//! The contract of a cluster's store.

use std::sync::Arc;

use super::*;
use crate::{
    cluster::{Store, conformance},
    volume::Revision,
};

#[tokio::test]
async fn it_keeps_the_contract() {
    let state = State::empty();
    let (store, _) = state.open();
    conformance::run(Arc::new(store)).await;
}

#[tokio::test]
async fn it_keeps_names_over_a_restart_and_numbers_the_states_of_a_lone_nodes_records_anew() {
    let state = State::empty();
    let (store, _) = state.open();
    let record = conformance::created(&store, &numbered(1)).await;
    state.stop(store);

    let (store, records) = state.open();
    assert_eq!(records, [Record { revision: Revision::default(), ..record.clone() }]);
    let other = Record { name: record.name.clone(), ..numbered(2) };
    let error = store.create(&other, Urgency::NewWork).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { by, .. } if by == record.id), "{error}");
    let record = &records[0];
    assert_eq!(store.replace(record, record, Urgency::NewWork).await.unwrap().get(), 1);
}

/// It refuses fields that it does not know.
#[tokio::test]
async fn what_a_lone_node_stores_is_read_by_the_version_before_clusters() {
    let state = State::empty();
    let (store, _) = state.open();
    let record = conformance::created(&store, &used_record()).await;
    store.replace(&record, &record, Urgency::NewWork).await.unwrap();
    state.stop(store);

    let stored = super::super::read_raw(state.path()).unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&stored[0].1).unwrap();
    for unknown in ["revision", "lease", "users"] {
        assert!(json.get(unknown).is_none(), "{json}");
    }
}

/// What is said in a cluster is kept: the copy is compared with the store.
#[tokio::test]
async fn the_numbers_of_a_clusters_records_are_kept_over_a_restart() {
    let record = conformance::owned(&used_record(), "a");
    let record = Record { revision: 7.into(), ..record };
    let state = State::with(&record).await;
    assert_eq!(state.open().1, [record]);
}

/// Records of a hawser that numbered none.
#[tokio::test]
async fn a_record_without_a_number_is_changed_as_any_other() {
    let state = State::with(&used_record()).await;
    let (store, records) = state.open();
    assert_eq!(records[0].revision.get(), 0);
    assert_eq!(store.replace(&records[0], &records[0], Urgency::NewWork).await.unwrap().get(), 1);
}

#[tokio::test]
async fn a_node_of_no_cluster_has_nobody_to_forget() {
    let state = State::empty();
    let (store, _) = state.open();
    let error = store.forget_node(&"node-7".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("there is no node node-7"), "{error}");
}
