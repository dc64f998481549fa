//! On a real ZooKeeper, which is stopped, killed, frozen and cut off.

mod changes;
mod faults;
mod figures;
mod nodes;
mod refused;

use super::testing::World;
use crate::cluster::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let world = World::new();
    conformance::run(world.join("a").await).await;
}
