//! What a power loss of the owner takes of what was changed of files beside their data and their names.

use super::{Setting, USUAL, World};

/// What is done after the changes, before the power is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    /// Somebody makes another file.
    Create,
}

/// The changes that a client was told are done, whose files it had synced, and that are lost.
#[track_caller]
fn lost(world: &World, round: usize, setting: &Setting, after: After) -> String {
    let World { lab, disk, owners, clients, .. } = world;
    let (old, new) = (&owners[round % 2], &owners[(round + 1) % 2]);
    lab.step(&format!("round {round}: {} {}", setting.fs, setting.sync));
    let device = world.format(old, setting);
    world.serve(old, &device, "/volume", setting);
    let tunnels = world.reach(old, setting);
    let [one, other] = clients;
    one.run(&["/lab/metadata.py", "prepare", "/shared"]).ok();
    old.sh("sync").ok();
    let refused = one.run(&["/lab/metadata.py", "change", "/shared"]).ok();
    if after == After::Create {
        other.sh("touch /shared/another").ok();
    }
    old.lose_power(&[disk]);

    let device = new.attach(disk);
    world.serve(new, &device, "/elsewhere", setting);
    let lost = new.run(&["/lab/metadata.py", "look", "/elsewhere/data"]).ok();
    eprintln!("           refused: {refused:?}; lost: {lost:?}");
    world.move_on(new, &tunnels);
    world.leave([&[], &[]], &tunnels);
    world.give_up(new, "/elsewhere");
    lost
}

/// What docs/sharing-internals.md says is lost: here it is seen when that changes.
#[test]
#[ignore = "a part of `make lab`"]
fn a_power_loss_takes_synced_changes_of_metadata_on_ext4_and_none_on_xfs() {
    let world = World::start("sharing-metadata");
    let found = [
        (Setting { sync: "dirsync,commit=300", ..USUAL }, After::Nothing),
        (Setting { sync: "dirsync,commit=300", ..USUAL }, After::Create),
        (Setting { fs: "xfs", sync: "wsync", ..USUAL }, After::Nothing),
    ]
    .iter()
    .enumerate()
    .map(|(round, (setting, after))| lost(&world, round, setting, *after))
    .collect::<Vec<_>>();
    assert_eq!(found, ["shorter longer mode owner times empty", "", ""]);
}
