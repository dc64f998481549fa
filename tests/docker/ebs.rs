//! EBS volumes under a real Docker engine: made by `docker run`, shared on the node, kept attached
//! when a container is replaced.

use crate::harness::{LiveRestore, PATIENCE, World, eventually};

const INLINE: &str = "name=pgdata,size=2GiB,type=gp3,iops=3000,label.team=db";

#[test]
fn an_app_makes_its_volume_and_its_successor_finds_it_attached() {
    let world = World::on_ebs(LiveRestore::No);
    world.sh(INLINE, "echo precious > /data/file");
    world.hawser.wait_unpublished("pgdata");

    assert_eq!(
        world.sh(INLINE, "cat /data/file; [ $(stat -f -c %b /data) -gt 450000 ] && echo 2GiB"),
        "precious\n2GiB"
    );

    let ec2 = world.ec2();
    assert_eq!((ec2.count("CreateVolume"), ec2.count("AttachVolume")), (1, 1));
    assert_eq!(ec2.count("DetachVolume"), 0);
    let volume = &ec2.volumes()[0];
    assert_eq!((volume.size, volume.volume_type.as_str()), (2, "gp3"));
    assert_eq!(volume.tags["team"], "db");
    world.finish();
}

#[test]
fn containers_share_an_ebs_volume_and_outlive_the_daemon_and_the_engine() {
    let mut world = World::on_ebs(LiveRestore::Yes);
    world.start("one", INLINE, "sleep 1000");
    world.start("two", INLINE, "sleep 1000");
    world.exec("one", "echo shared > /data/file");
    assert_eq!(world.exec("two", "cat /data/file"), "shared");

    world.hawser.kill();
    world.ec2().away(true);
    world.hawser.up();
    assert_eq!(world.exec("two", "echo more >> /data/file; cat /data/file"), "shared\nmore");
    world.ec2().away(false);

    for container in ["one", "two"] {
        world.engine.run_ok(&["rm", "--force", container]);
    }
    assert_eq!(world.ec2().count("DetachVolume"), 0);
    world.finish();
}

#[test]
fn options_of_docker_volume_create_are_rex_rays_too() {
    let world = World::on_ebs(LiveRestore::No);
    let options =
        ["--opt=size=5", "--opt=volumetype=io1", "--opt=iops=200", "--opt=encrypted=true"];
    world.create_volume(&[options.as_slice(), &["db"]].concat());
    let volume = &world.ec2().volumes()[0];
    assert_eq!((volume.size, volume.volume_type.as_str(), volume.iops), (5, "io1", Some(200)));
    assert!(volume.encrypted);

    let error = world.create_volume_err(&["--opt=size=5", "--opt=iops=many", "bad"]);
    assert!(error.contains("iops"), "{error}");
    let error = world.create_volume_err(&["--opt=zone=mars-1a", "bad"]);
    assert!(error.contains("mars-1a"), "{error}");
    assert_eq!(world.ec2().volumes().len(), 1);
    world.engine.run_ok(&["volume", "rm", "db"]);
    eventually("it is deleted", PATIENCE, || world.ec2().volumes().is_empty());
    world.finish();
}
