//! A volume's size: enforced against whoever writes, and grown while they do.

use std::fs;

use rustix::fs::statvfs;

use crate::harness::{World, host_has_sys_resource};

/// Bytes that the disk under the images has left.
fn disk_free(world: &World) -> u64 {
    let disk = statvfs(&world.hawser.state).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[test]
fn appending_for_ever_ends_in_enospc_and_touches_nobody_else() {
    let world = World::new();
    world.sh("size=32MiB,name=other", "echo safe > /data/file");
    // All but the last 64 KiB are filled at once: date writes 29 bytes.
    let fill = "dd if=/dev/zero of=/data/room bs=64k count=1; \
                dd if=/dev/zero of=/data/ballast bs=4k; rm /data/room";
    world.sh("size=16MiB,name=full", fill);
    let before = disk_free(&world);

    // busybox' date exits with 0 when its output is lost; echo says that the disk is full.
    let attack = "while true; do echo \"$(date)\" >> /data/file || exit 1; done";
    let error = world.try_sh("full", attack).err();

    assert!(error.contains("No space left on device"), "{error}");
    let lost = before.saturating_sub(disk_free(&world));
    assert!(lost < 16 << 20, "the attack took {lost} bytes of the host's disk");
    assert_eq!(world.sh("other", "cat /data/file; echo more > /data/more"), "safe");
    assert_eq!(world.sh("full", "rm /data/file; echo usable > /data/x; cat /data/x"), "usable");
    world.finish();
}

#[test]
fn writing_fast_ends_in_enospc_at_the_size() {
    let world = World::new();

    let error =
        world.try_sh("size=64MiB,name=dd", "dd if=/dev/zero of=/data/f bs=1M conv=fsync").err();
    let bytes: u64 = world.sh("dd", "stat -c %s /data/f").parse().unwrap();

    assert!(error.contains("No space left on device"), "{error}");
    assert!((40 << 20..=64 << 20).contains(&bytes), "{bytes}");
    world.finish();
}

#[test]
fn a_process_with_every_privilege_gets_enospc_too() {
    let world = World::new();
    // A container can get no more than the host has, and this one may lack CAP_SYS_RESOURCE: then
    // docker refuses --privileged, and what can be had is asked for by name.
    let privileges: &[&str] = if host_has_sys_resource() {
        &["--privileged"]
    } else {
        &["--cap-add=SYS_ADMIN", "--cap-add=DAC_READ_SEARCH", "--security-opt=seccomp=unconfined"]
    };
    let run = ["-v", "size=64MiB,name=root:/data", "busybox"];
    let dd = ["dd", "if=/dev/zero", "of=/data/f", "bs=1M"];

    let arguments = [&["run", "--rm"], privileges, &run[..], &dd].concat();
    let error = world.engine.docker(&world.container(&arguments)).err();

    assert!(error.contains("No space left on device"), "{error}");
    world.finish();
}

#[test]
fn a_name_that_states_the_old_size_still_works_after_a_grow() {
    let world = World::new();
    world.start("app", "size=400MiB,fs=xfs,name=grows", "sleep 1000");
    let blocks = |container| world.exec(container, "df -m /data | awk 'NR==2 {print $2}'");
    let before: u64 = blocks("app").parse().unwrap();

    world.hawser.cli(&["volume", "grow", "grows", "800MiB"]).ok();

    let after: u64 = blocks("app").parse().unwrap();
    assert!(after >= before + 350, "{before} MiB became {after} MiB");
    assert_eq!(world.sh("size=400MiB,fs=xfs,name=grows", "echo mounted"), "mounted");
    let error = world.try_sh("size=2GiB,name=grows", "true").err();
    assert!(error.contains("size") && error.contains("grow"), "{error}");
    world.finish();
}

#[test]
fn a_volume_does_not_shrink() {
    let world = World::new();
    world.create_volume(&["--opt", "size=64MiB", "fixed"]);

    let refusal = world.hawser.cli(&["volume", "grow", "fixed", "32MiB"]).err();

    assert!(refusal.contains("fixed"), "{refusal}");
    world.finish();
}

#[test]
fn a_thick_volume_that_does_not_fit_is_refused_with_the_numbers() {
    let world = World::new();

    let error = world.create_volume_err(&["--opt", "size=900TiB", "huge"]);

    assert!(error.contains("900TiB") || error.contains("900 TiB"), "{error}");
    world.hawser.assert_clean();
    world.finish();
}

#[test]
fn a_thin_volume_takes_only_what_is_written() {
    let world = World::new();
    let before = disk_free(&world);

    world.sh("size=2GiB,provision=thin,name=thin", "echo little > /data/file");

    let taken = before.saturating_sub(disk_free(&world));
    assert!(taken < 512 << 20, "{taken} bytes");
    assert!(fs::metadata(&world.hawser.state).is_ok());
    world.finish();
}
