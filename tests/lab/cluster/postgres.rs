//! PostgreSQL on an EBS volume whose machine is killed: every commit that was answered is there on the
//! next one, which hawser brings the volume to.

use std::time::Instant;

use ec2_fake::InstanceState;
use serde_json::json;

use super::{A, B, World, row};

#[test]
#[ignore = "a part of `make lab`"]
fn postgres_has_every_acknowledged_commit_on_another_machine_after_its_own_was_killed() {
    let world = World::start("cluster-postgres");
    let World { lab, cluster, nodes: [a, b, _], states, .. } = &world;

    lab.step("a database is made on an EBS volume");
    world.create(A, "pg", json!({}));
    a.start_postgres(&a.mount_volume("pg", "task"));

    lab.step("pgbench runs, and commits are counted");
    a.start_pgbench();
    a.start_commits("pg");
    a.wait_acknowledged("pg", 200);

    lab.step("the machine is killed, and hawser brings the volume to another one");
    let since = Instant::now();
    a.lose_power(&[&states[A]]);
    cluster.cloud.says(a, InstanceState::Stopped);
    let committed = a.acknowledged("pg").last;
    let path = b.mount_volume("pg", "task");
    let mounted = Instant::now();
    let ec2 = cluster.witness.ec2_took(&world.ec2_id("pg"), since, mounted);
    world.assert_mounted_only_on(B, "pg");

    lab.step("the database recovers");
    b.start_postgres(&path);
    eprintln!("           {committed} commits were acknowledged");
    b.assert_database_whole(committed);
    let took = format!("{:.1} s until its volume is there", (mounted - since).as_secs_f32());
    let fault = "PostgreSQL's machine killed under pgbench";
    row(fault, "it ends with its machine", &took, &format!("{:.1} s", ec2.as_secs_f32()));
    b.stop_postgres();
    b.unmount_volume("pg", "task");
    cluster.cloud.wait_for(&world.ec2_id("pg"), "available");
    cluster.witness.assert_one_attachment_at_a_time();
}
