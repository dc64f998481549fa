//! PostgreSQL on an EBS volume whose machine is killed: every commit that was answered is there on the
//! next one. Who moves the volume is the test here, in place of the cluster.

use ec2_fake::InstanceState;
use serde_json::json;

use crate::harness::{Cloud, Detach, Lab};

const GIB: u64 = 1 << 30;

#[test]
#[ignore = "a part of `make lab`"]
fn postgres_has_every_acknowledged_commit_on_another_machine_after_its_own_was_killed() {
    let (lab, [a, b]) = Lab::start("postgres", ["a", "b"]);
    let cloud = Cloud::start(&lab, [&a, &b]);
    let states = [&a, &b].map(|machine| {
        let disk = lab.disk(&format!("state-{}", machine.name), GIB);
        machine.mount_state(&machine.attach(&disk));
        machine.start_hawser("");
        disk
    });

    lab.step("a database is made on an EBS volume");
    a.create_volume("pg", &json!({"backend": "ebs", "size": "1GiB"}));
    a.start_postgres(&a.mount_volume("pg", "task"));
    let volume = cloud.volumes().pop().expect("EC2 has the volume").id;

    lab.step("pgbench runs, and commits are counted");
    a.start_pgbench();
    a.start_commits("pg");
    a.wait_acknowledged("pg", 200);

    lab.step("the machine is killed, and its volume attached to the other one");
    a.lose_power(&[&states[0]]);
    let committed = a.acknowledged("pg").last;
    cloud.says(&a, InstanceState::Stopped);
    cloud.detach(&volume, Detach::InOrder);
    cloud.wait_for(&volume, "available");
    b.hawser(&["volume", "import", &volume, "--yes"]).ok();
    let path = b.mount_volume("pg", "task");

    lab.step("the database recovers");
    b.start_postgres(&path);
    eprintln!("           {committed} commits were acknowledged");
    b.assert_database_whole(committed);
    b.stop_postgres();
    b.unmount_volume("pg", "task");
}
