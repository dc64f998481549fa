//! What it finds on the volume.

use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn a_link_in_the_place_of_its_notes_is_refused_and_nothing_is_made_behind_it() {
    let lab = Lab::new().await;
    let outside = lab.world.dir("outside");
    fs::create_dir_all(outside.join("empty")).unwrap();
    let recovery = &lab.export.recovery;
    for level in ["", "v4recov", "v4old/node0", "v4recov/node0/::1-(6:client)"] {
        let link = if level.is_empty() { recovery.clone() } else { recovery.join(level) };
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&outside, &link).unwrap();

        let error = lab.server.ensure(&lab.export, LIMIT).await.unwrap_err().to_string();

        assert!(error.contains(&link.display().to_string()), "{level}: {error}");
        assert!(!lab.server.is_running().unwrap(), "{level}");
        let left: Vec<_> =
            fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["empty"], "{level}");
        fs::remove_file(&link).unwrap();
    }
    lab.server.ensure(&lab.export, LIMIT).await.unwrap();
}

/// Fills it as a container's root does, who has not every right of the host's.
fn fill(data: &std::path::Path) {
    let data = data.display();
    let script = format!(
        "dd if=/dev/zero of={data}/file bs=4096 conv=fsync; ! mkdir {data}/directory || exit 1"
    );
    let (bounding, inherited) = ("--bounding-set=-sys_resource", "--inh-caps=-sys_resource");
    crate::sys::testing::run("setpriv", [bounding, inherited, "sh", "-c", &script]);
}

#[tokio::test]
async fn a_full_volume_is_served_and_its_clients_are_noted_and_they_take_no_room_of_that() {
    const NO_SPACE: u32 = 28;
    let mkfs = reserve::mkfs_options(FsType::Ext4, Bytes::mib(32), &[]);
    let mut mount = reserve::mount_options(FsType::Ext4);
    mount.push("dirsync".to_owned());
    let lab = Lab::on(32, &mkfs, &mount).await;
    let Lab { server, export, .. } = &lab;
    recovery::make(&export.recovery).unwrap();
    fill(&export.data);
    let notes = |of: &str| -> Vec<_> {
        let notes = fs::read_dir(export.recovery.join(of).join("node0")).unwrap();
        notes.map(|note| note.unwrap().file_name().into_string().unwrap()).collect()
    };

    server.ensure(export, LIMIT).await.unwrap();
    let mut one = Client::of(server, "one");
    for at in 0..100 {
        let made = one.make_directory(&export.volume, &format!("directory {at}"));
        assert_eq!(made, NO_SPACE, "a client takes what is kept back");
    }
    let _other = Client::of(server, "other");
    let mut noted = notes("v4recov");
    noted.sort();
    assert_eq!(noted.len(), 2, "{noted:?}; {}", lab.log());
    assert!(noted[0].ends_with("Linux NFSv4.2 one)"), "{noted:?}");

    // And for the next server, which moves the notes.
    server.stop(LIMIT).await.unwrap();
    server.ensure(export, LIMIT).await.unwrap();
    assert_eq!(notes("v4old").len(), 2, "{}", lab.log());
    assert!(!lab.log().contains("errno"), "{}", lab.log());
}
