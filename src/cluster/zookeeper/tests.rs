//! On a real ZooKeeper, which is stopped, killed, frozen and cut off.

use super::{testing::*, *};
use crate::cluster::{Store, conformance};

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let world = World::new();
    conformance::run(world.join("a").await).await;
}
