//! The contract of a cluster's store.

use std::sync::Arc;

use super::*;
use crate::cluster::{Store, conformance};

#[tokio::test]
async fn it_keeps_the_contract() {
    let state = State::empty();
    let (store, _) = state.open();
    conformance::run(Arc::new(store)).await;
}

#[tokio::test]
async fn it_keeps_names_and_revisions_over_a_restart() {
    let state = State::empty();
    let (store, _) = state.open();
    let record = conformance::created(&store, &numbered(1)).await;
    state.stop(store);

    let (store, records) = state.open();
    assert_eq!(records, std::slice::from_ref(&record));
    let other = Record { name: record.name.clone(), ..numbered(2) };
    let error = store.create(&other, Urgency::NewWork).await.unwrap_err();
    assert!(matches!(error, StoreError::NameTaken { by, .. } if by == record.id), "{error}");
    assert_eq!(store.replace(&record, &record, Urgency::NewWork).await.unwrap().get(), 2);
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
