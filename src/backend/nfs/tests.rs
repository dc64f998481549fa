//! The backend on a real NFS server, and what it must never do there.

#![allow(clippy::disallowed_methods, reason = "scratch files need not be durable")]

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use ganesha::{Filesystem, Options, Server as Ganesha, Squash};
use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::{
    backend::ErrorKind,
    backend::conformance::directories::{self, DirectorySubject},
    spec::{Ownership, Spec},
    sys::mountinfo::{Mount, MountTable},
    volume::{Record, VolumeId, testing::spec as any_spec},
};

/// A server with an export of 128 MiB, as the nodes of a cluster see it.
struct World {
    filer: Ganesha,
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(Options { filesystem: Filesystem::Ext4(128), ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let dir = TempDir::with_prefix("hawser-nfs-").unwrap();
        Self { filer: Ganesha::start(dir.path(), options), dir }
    }

    fn node(&self, name: &str) -> Nfs {
        self.open("prod", name, None)
    }

    /// A node whose records are its cluster's.
    fn member(&self, name: &str) -> Nfs {
        self.open_as(Records::Cluster, "prod", name, None)
    }

    fn open(&self, cluster: &str, node: &str, secret: Option<&str>) -> Nfs {
        self.open_as(Records::Nodes, cluster, node, secret)
    }

    fn open_as(&self, records: Records, cluster: &str, node: &str, secret: Option<&str>) -> Nfs {
        let settings = NfsSettings {
            cluster: cluster.into(),
            records,
            secret: secret.map(|secret| Secret::new(secret.to_owned())),
            exports: vec![testing::export_of(&self.filer)],
        };
        let node = Node { name: node.into(), machine: "m1".into() };
        Nfs::open(settings, &node, &self.dir.path().join("mnt"))
    }

    /// On the server's disk.
    fn path(&self, path: &str) -> String {
        let top = self.dir.path().to_str().unwrap();
        if path.is_empty() { top.to_owned() } else { format!("{top}/{path}") }
    }

    fn has(&self, path: &str) -> bool {
        Path::new(&self.path(path)).exists()
    }

    fn write(&self, path: &str) {
        fs::write(self.path(path), "precious").unwrap();
    }
}

fn spec(name: &str) -> BackendSpec {
    BackendSpec::Nfs(NfsSpec {
        export: "fast".into(),
        path: name.into(),
        layout: NfsLayout::Directory,
    })
}

fn volume(name: &str) -> VolumeRef {
    let spec = Spec { size: Bytes::mib(16), backend: spec(name), ..any_spec() };
    let last = name.rsplit('/').next().unwrap();
    let record = Record::new(VolumeId::random(), last.parse().unwrap(), spec, Timestamp::now());
    VolumeRef::from(&record)
}

fn refused<T: std::fmt::Debug>(result: Result<T, BackendError>, kind: ErrorKind, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn directories_keep_the_contract() {
    let world = World::new();
    let subject = DirectorySubject {
        make: || world.node("n1"),
        spec,
        size: Bytes::mib(16),
        too_large: Bytes::gib(1),
    };
    directories::run(&subject).await;
    for left in fs::read_dir(world.path("")).unwrap() {
        let left = left.unwrap();
        let name = left.file_name().into_string().unwrap();
        let empty = || fs::read_dir(left.path()).unwrap().next().is_none();
        assert!(name == "lost+found" || name.starts_with(".hawser") && empty(), "{name} is left");
    }
}

#[tokio::test]
async fn a_new_volume_has_its_data_directory_with_its_owner() {
    let world = World::new();
    let backend = world.node("n1");
    let mut asked = volume("team/web/pgdata");
    let mode = Some("0750".parse().unwrap());
    asked.spec.owner = Ownership { uid: Some(999), gid: Some(70), mode };
    let created = backend.create(&asked).await.unwrap();

    assert_eq!(created.handle.unwrap().as_str(), "fast:team/web/pgdata");
    let data = fs::metadata(world.path("team/web/pgdata/data")).unwrap();
    assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (999, 70, 0o750));
    let own = fs::metadata(world.path("team/web/pgdata/.hawser")).unwrap();
    assert_eq!(own.mode() & 0o7777, 0o700, "its marks are for no task");
}

#[tokio::test]
async fn a_second_node_joins_the_volume_and_the_last_one_deletes_it() {
    let world = World::new();
    let (one, two) = (world.node("n1"), world.node("n2"));
    let (mut first, mut second) = (volume("shared"), volume("shared"));
    first.handle = one.create(&first).await.unwrap().handle;
    world.write("shared/data/file");
    second.handle = two.create(&second).await.unwrap().handle;
    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Detached);

    one.remove(&first).await.unwrap();
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::Absent);
    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Detached);
    assert!(world.has("shared/data/file"), "another node has it");

    two.remove(&second).await.unwrap();
    assert!(!world.has("shared"));
}

#[tokio::test]
async fn a_node_that_removed_a_shared_volume_can_come_back_to_it() {
    let world = World::new();
    let (one, two) = (world.node("n1"), world.node("n2"));
    let (first, second) = (volume("shared"), volume("shared"));
    one.create(&first).await.unwrap();
    two.create(&second).await.unwrap();
    one.set_aside(&first).await.unwrap();
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::SetAside);
    assert!(world.has("shared/data"));

    one.create(&first).await.unwrap();
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::Detached);
    two.remove(&second).await.unwrap();
    assert!(world.has("shared/data"), "the first has it again");
}

#[tokio::test]
async fn nodes_that_create_one_volume_at_the_same_moment_have_one_directory() {
    let world = World::new();
    let nodes: Vec<_> = (1..=4).map(|n| world.node(&format!("n{n}"))).collect();
    for round in 0..5 {
        let name = format!("raced-{round}");
        let volumes: Vec<_> = nodes.iter().map(|_| volume(&name)).collect();
        let mut calls = tokio::task::JoinSet::new();
        for (node, volume) in (1..=4).zip(volumes.clone()) {
            let backend = world.node(&format!("n{node}"));
            calls.spawn(async move { backend.create(&volume).await });
        }
        while let Some(created) = calls.join_next().await {
            created.unwrap().unwrap();
        }
        for (node, volume) in nodes.iter().zip(&volumes) {
            assert_eq!(node.inspect(volume).await.unwrap(), Inspection::Detached);
        }
        assert_eq!(fs::read_dir(world.path(".hawser-new")).unwrap().count(), 0);
    }
}

/// One removes while the other comes: either it stays and is joined, or it goes and is made anew.
#[tokio::test]
async fn a_volume_that_is_joined_while_its_last_user_removes_it_is_whole() {
    let world = World::new();
    for round in 0..20 {
        let name = format!("contested-{round}");
        let (first, second) = (volume(&name), volume(&name));
        let (one, two) = (world.node("n1"), world.node("n2"));
        one.create(&first).await.unwrap();
        let pause = Duration::from_millis(round % 7);
        let join = async {
            tokio::time::sleep(pause).await;
            two.create(&second).await
        };
        let (removed, joined) = tokio::join!(one.remove(&first), join);
        joined.unwrap();
        // Where it could not be decided in peace, it is repeated, as the engine does.
        if removed.is_err() {
            one.remove(&first).await.unwrap();
        }
        assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Detached, "round {round}");
        assert!(world.has(&format!("{name}/data")), "round {round}");
        assert!(!world.has(&format!(".hawser-removed/{}", first.id)), "round {round}");
    }
}

#[tokio::test]
async fn what_hawser_did_not_make_is_neither_served_nor_deleted() {
    let world = World::new();
    let backend = world.node("n1");
    fs::create_dir_all(world.path("photos/data")).unwrap();
    world.write("photos/data/file");
    let photos = volume("photos");
    refused(backend.create(&photos).await, ErrorKind::Foreign, "hawser did not make it");
    backend.remove(&photos).await.unwrap();
    assert!(world.has("photos/data/file"));

    let theirs = volume("theirs");
    world.open("test", "n1", None).create(&theirs).await.unwrap();
    world.write("theirs/data/file");
    for backend in [&backend, &world.open("prod", "n1", Some("key"))] {
        refused(backend.create(&volume("theirs")).await, ErrorKind::Foreign, "the cluster test's");
        refused(backend.remove(&theirs).await, ErrorKind::Foreign, "the cluster test's");
    }
    assert!(world.has("theirs/data/file"));

    world.write("file");
    assert!(backend.create(&volume("file")).await.is_err());
    std::os::unix::fs::symlink("photos", world.path("link")).unwrap();
    assert!(backend.create(&volume("link")).await.is_err());
    assert!(world.has("file") && world.has("photos/data/file"));
}

#[tokio::test]
async fn a_mark_that_was_changed_is_nobodys() {
    let world = World::new();
    let backend = world.node("n1");
    let asked = volume("marked");
    backend.create(&asked).await.unwrap();
    let user = world.path(&format!("marked/.hawser/users/{}", asked.id));
    let text = fs::read_to_string(&user).unwrap();
    fs::write(&user, text.replace("\"n1\"", "\"n9\"")).unwrap();

    refused(backend.remove(&asked).await, ErrorKind::Foreign, "signed with another key");
    refused(backend.inspect(&asked).await, ErrorKind::Foreign, "signed with another key");
    assert!(world.has("marked/data"));
}

#[tokio::test]
async fn two_volumes_of_a_node_never_have_one_directory() {
    let world = World::new();
    let backend = world.node("n1");
    let (first, mut second) = (volume("one"), volume("two"));
    backend.create(&first).await.unwrap();
    second.spec.backend = spec("one");

    refused(backend.create(&second).await, ErrorKind::InUse, "another volume of this node");
    assert_eq!(backend.inspect(&second).await.unwrap(), Inspection::Absent);
}

/// A volume that was renamed keeps its path, and two volumes may be given one.
#[tokio::test]
async fn in_a_cluster_the_directory_of_one_volume_is_not_joined_by_another() {
    let world = World::new();
    let (one, two) = (world.member("n1"), world.member("n2"));
    let (mut first, mut second) = (volume("v"), volume("v"));
    first.handle = one.create(&first).await.unwrap().handle;
    world.write("v/data/file");

    refused(two.create(&second).await, ErrorKind::InUse, "the directory of the volume `v`");
    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Absent);
    two.remove(&second).await.unwrap();
    refused(two.adopt(&second).await, ErrorKind::InUse, "the directory of the volume `v`");
    assert!(world.has("v/data/file"));

    // All nodes have it under its own id, and the one that did not make it removes it, too.
    assert_eq!(two.inspect(&first).await.unwrap(), Inspection::Detached);
    let found = two.candidate(&"fast:v".to_owned().into()).await.unwrap();
    second.id = found.shared_id.unwrap();
    two.adopt(&second).await.unwrap();
    assert_eq!(fs::read_dir(world.path("v/.hawser/users")).unwrap().count(), 1);
    two.remove(&first).await.unwrap();
    assert!(!world.has("v"));
}

#[tokio::test]
async fn in_a_cluster_a_volume_in_the_place_of_one_that_is_being_removed_has_nothing_of_it() {
    let world = World::new();
    let (one, two) = (world.member("n1"), world.member("n2"));
    let (first, second) = (volume("v"), volume("v"));
    one.create(&first).await.unwrap();
    world.write("v/data/file");
    let remove = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        one.set_aside(&first).await
    };
    let (created, removed) = tokio::join!(two.create(&second), remove);
    created.unwrap();
    removed.unwrap();

    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Detached);
    assert!(world.has("v/data") && !world.has("v/data/file"));
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::SetAside);
    assert!(world.has(&format!(".hawser-removed/{}/data/file", first.id)));
}

/// Nodes that shared it before they had a common store have it under ids of their own.
#[tokio::test]
async fn what_nodes_shared_before_their_cluster_is_left_to_each_and_comes_back() {
    let world = World::new();
    let (first, second) = (volume("v"), volume("v"));
    world.node("n1").create(&first).await.unwrap();
    world.node("n2").create(&second).await.unwrap();
    let (one, two) = (world.member("n1"), world.member("n2"));
    for (node, volume) in [(&one, &first), (&two, &second)] {
        assert_eq!(node.inspect(volume).await.unwrap(), Inspection::Detached);
        node.create(volume).await.unwrap();
    }
    two.set_aside(&second).await.unwrap();
    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::SetAside);
    two.create(&second).await.unwrap();
    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Detached);
}

#[tokio::test]
async fn a_draft_of_a_killed_daemon_is_made_anew_and_deleted_with_its_volume() {
    let world = World::new();
    let backend = world.node("n1");
    for finish in [true, false] {
        let asked = volume("drafted");
        let draft = format!(".hawser-new/{}", asked.id);
        fs::create_dir_all(world.path(&format!("{draft}/data/half"))).unwrap();
        assert_eq!(backend.inspect(&asked).await.unwrap(), Inspection::Detached);
        if finish {
            backend.create(&asked).await.unwrap();
            assert!(!world.has("drafted/data/half"), "nobody was ever given it");
        }
        backend.remove(&asked).await.unwrap();
        assert!(!world.has(&draft) && !world.has("drafted"));
    }
}

#[tokio::test]
async fn after_a_lost_store_a_volume_is_found_with_its_id_and_by_another_node_with_a_new_one() {
    let world = World::new();
    let backend = world.node("n1");
    let asked = volume("kept");
    backend.create(&asked).await.unwrap();
    fs::create_dir_all(world.path("photos")).unwrap();

    let found = backend.candidates().await.unwrap();
    assert_eq!(found.len(), 1, "what has no mark is not listed: {found:?}");
    assert_eq!(found[0].handle.as_str(), "fast:kept");
    assert_eq!(found[0].known, Some((asked.id, asked.spec.clone())));
    let other = world.node("n2");
    let handle = "fast:kept".to_owned().into();
    assert!(other.recognises(&handle) && !other.recognises(&"vol-1".to_owned().into()));
    let seen = other.candidate(&handle).await.unwrap();
    assert_eq!((found[0].shared_id, seen.shared_id), (None, Some(asked.id)), "or the cluster's");
    assert_ne!(seen.known.unwrap().0, asked.id, "its share in it is its own");
}

#[tokio::test]
async fn a_directory_that_another_plugin_made_is_imported_as_it_is() {
    let world = World::new();
    let backend = world.node("n1");
    fs::create_dir_all(world.path("photos/2026")).unwrap();
    world.write("photos/2026/file");
    let found = backend.candidate(&"fast:/photos/".to_owned().into()).await.unwrap();
    assert_eq!((found.name.as_str(), found.data_dir.as_str()), ("photos", ""));
    assert_eq!(found.size, Bytes::gib(1));

    let mut asked = volume("photos");
    asked.data_dir = Some(String::new());
    backend.adopt(&asked).await.unwrap();
    assert_eq!(backend.inspect(&asked).await.unwrap(), Inspection::Detached);
    assert!(world.has("photos/2026/file"));
    for handle in ["fast:..", "fast:a/../b", "fast:", "fast:.hawser-removed/x", "slow:a", "a"] {
        assert!(backend.candidate(&handle.to_owned().into()).await.is_err(), "{handle}");
    }
}

#[tokio::test]
async fn while_the_server_is_away_nothing_is_said_to_be_absent() {
    let mut world = World::new();
    let backend = world.node("n1");
    let asked = volume("away");
    backend.create(&asked).await.unwrap();
    world.filer.kill();

    let start = std::time::Instant::now();
    let unreachable = "cannot be reached";
    let new = volume("new");
    let (inspect, remove, create, answers) = tokio::join!(
        backend.inspect(&asked),
        backend.remove(&asked),
        backend.create(&new),
        backend.answers(&asked),
    );
    refused(inspect, ErrorKind::Failed, unreachable);
    refused(remove, ErrorKind::Failed, unreachable);
    refused(create, ErrorKind::Failed, unreachable);
    refused(answers, ErrorKind::Failed, "does not answer");
    refused(backend.mount(&asked, Path::new("/nonexistent")).await, ErrorKind::Failed, unreachable);
    assert!(start.elapsed() < Duration::from_secs(40), "{:?}", start.elapsed());

    world.filer.start_again();
    assert_eq!(backend.inspect(&asked).await.unwrap(), Inspection::Detached);
    backend.remove(&asked).await.unwrap();
}

#[tokio::test]
async fn an_owner_that_the_server_does_not_allow_is_refused_and_leaves_nothing() {
    let squash = Options { squash: Squash::Root, ..Options::default() };
    let world = World::with(squash);
    std::os::unix::fs::chown(world.path(""), Some(65534), Some(65534)).unwrap();
    let backend = world.node("n1");
    let mut asked = volume("owned");
    asked.spec.owner.uid = Some(999);

    refused(backend.create(&asked).await, ErrorKind::Failed, "no_root_squash");
    backend.remove(&asked).await.unwrap();
    assert_eq!(backend.inspect(&asked).await.unwrap(), Inspection::Absent);
    assert!(!world.has("owned"));
}

#[tokio::test]
async fn a_mount_is_known_by_the_servers_path() {
    let world = World::new();
    let backend = world.node("n1");
    let asked = volume("pgdata");
    let mount = |fs_type: &str, source: String| {
        let table = MountTable::read().unwrap();
        let some = table.iter().next().unwrap().clone();
        Mount { fs_type: fs_type.into(), source, ..some }
    };
    let path = world.path("pgdata");
    assert!(backend.shows(&asked, &mount("nfs4", format!("filer:{path}"))));
    assert!(backend.shows(&asked, &mount("nfs", format!("[2001:db8::1]:{path}"))));
    assert!(!backend.shows(&asked, &mount("ext4", format!("filer:{path}"))));
    assert!(backend.shows(&asked, &mount("nfs4", format!("filer:{path}/data"))), "its bind");
    for other in ["2", "/dat", "/data/data"] {
        assert!(!backend.shows(&asked, &mount("nfs4", format!("filer:{path}{other}"))), "{other}");
    }
    assert!(!backend.shows(&asked, &mount("nfs4", format!("filer:/elsewhere{path}"))));
}

#[tokio::test]
async fn no_volume_lies_in_another_one() {
    let world = World::new();
    let backend = world.node("n1");
    let outer = volume("outer");
    backend.create(&outer).await.unwrap();
    for path in ["outer/inner", "outer/data/inner", "outer/data/a/b"] {
        refused(backend.create(&volume(path)).await, ErrorKind::Foreign, "is a volume itself");
    }
    fs::create_dir(world.path("outer/data/photos")).unwrap();
    refused(
        backend.adopt(&volume("outer/data/photos")).await,
        ErrorKind::Foreign,
        "is a volume itself",
    );
    let nested = volume("team/web");
    backend.create(&nested).await.unwrap();
    refused(backend.adopt(&volume("team")).await, ErrorKind::Foreign, "has volumes in it");
    backend.remove(&outer).await.unwrap();
    assert!(world.has("team/web/data"));
}

/// Its tasks would see another directory than those on the node that imported it.
#[tokio::test]
async fn an_imported_directory_is_imported_on_each_node() {
    let world = World::new();
    fs::create_dir_all(world.path("photos/data")).unwrap();
    let (one, two) = (world.node("n1"), world.node("n2"));
    let mut first = volume("photos");
    first.data_dir = Some(String::new());
    one.adopt(&first).await.unwrap();

    refused(two.create(&volume("photos")).await, ErrorKind::Foreign, "import it here, too");
    let found = two.candidate(&"fast:photos".to_owned().into()).await.unwrap();
    assert_eq!(found.data_dir, "");
    let mut second = volume("photos");
    second.data_dir = Some(found.data_dir);
    two.adopt(&second).await.unwrap();
    one.remove(&first).await.unwrap();
    assert!(world.has("photos/data"), "the second has it");
}

/// Two hosts with one name by mistake, or a disk that was copied.
#[tokio::test]
async fn a_node_of_the_same_name_on_another_machine_is_another_node() {
    let world = World::new();
    let one = world.node("n1");
    let settings = NfsSettings {
        cluster: "prod".into(),
        records: Records::Nodes,
        secret: None,
        exports: vec![testing::export_of(&world.filer)],
    };
    let node = Node { name: "n1".into(), machine: "m2".into() };
    let two = Nfs::open(settings, &node, &world.dir.path().join("mnt"));
    let (first, second) = (volume("v"), volume("v"));
    one.create(&first).await.unwrap();
    let found = two.candidate(&"fast:v".to_owned().into()).await.unwrap();
    assert_ne!(found.known.unwrap().0, first.id, "it is not taken for the first");
    two.create(&second).await.unwrap();
    two.remove(&second).await.unwrap();
    assert!(world.has("v/data"));
}

/// A hawser that was killed between its two looks, while another node joined.
#[tokio::test]
async fn a_volume_that_was_joined_while_it_was_moved_away_goes_back() {
    let world = World::new();
    let (one, two) = (world.node("n1"), world.node("n2"));
    let (first, second) = (volume("v"), volume("v"));
    one.create(&first).await.unwrap();
    two.create(&second).await.unwrap();
    fs::create_dir_all(world.path(".hawser-removed")).unwrap();
    let aside = format!(".hawser-removed/{}", first.id);
    fs::rename(world.path("v"), world.path(&aside)).unwrap();

    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::Detached, "it is not at its end");
    one.set_aside(&first).await.unwrap();
    assert_eq!(two.inspect(&second).await.unwrap(), Inspection::Detached);
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::SetAside);

    // One that found itself too late, and has made a new volume, does not bring the old one back.
    let (again, stray) = (volume("w"), volume("w"));
    one.create(&again).await.unwrap();
    two.create(&stray).await.unwrap();
    fs::rename(world.path("w"), world.path(&format!(".hawser-removed/{}", again.id))).unwrap();
    two.create(&stray).await.unwrap();
    one.remove(&again).await.unwrap();
    assert_eq!(two.inspect(&stray).await.unwrap(), Inspection::Detached);
    assert!(!world.has(&format!(".hawser-removed/{}", again.id)));
}

/// Each sees the other and leaves; then nobody is left who would delete it.
#[tokio::test]
async fn nodes_that_remove_one_volume_at_the_same_moment_delete_it() {
    let world = World::new();
    for round in 0..10 {
        let name = format!("left-{round}");
        let (one, two) = (world.node("n1"), world.node("n2"));
        let (mut first, mut second) = (volume(&name), volume(&name));
        first.handle = one.create(&first).await.unwrap().handle;
        second.handle = two.create(&second).await.unwrap().handle;
        let (a, b) = tokio::join!(one.remove(&first), two.remove(&second));
        // What met the other's rename is repeated, as the engine does.
        for (removed, backend, volume) in [(a, &one, &first), (b, &two, &second)] {
            if removed.is_err() {
                backend.remove(volume).await.unwrap();
            }
        }
        assert!(!world.has(&name), "round {round}");
        let aside = fs::read_dir(world.path(".hawser-removed")).unwrap().count();
        assert_eq!(aside, 0, "round {round}");
    }
    // As after a crash between the leaving and the second look.
    let (one, two) = (world.node("n1"), world.node("n2"));
    let (mut first, mut second) = (volume("v"), volume("v"));
    first.handle = one.create(&first).await.unwrap().handle;
    second.handle = two.create(&second).await.unwrap().handle;
    for id in [first.id, second.id] {
        let user = world.path(&format!("v/.hawser/users/{id}"));
        fs::rename(&user, format!("{user}.left")).unwrap();
    }
    one.remove(&first).await.unwrap();
    assert!(!world.has("v"));
}

#[tokio::test]
async fn what_both_have_left_comes_back_whole() {
    let world = World::new();
    let (one, two) = (world.node("n1"), world.node("n2"));
    let (mut first, mut second) = (volume("v"), volume("v"));
    first.handle = one.create(&first).await.unwrap().handle;
    second.handle = two.create(&second).await.unwrap().handle;
    world.write("v/data/file");
    let user = world.path(&format!("v/.hawser/users/{}", second.id));
    fs::rename(&user, format!("{user}.left")).unwrap();
    one.set_aside(&first).await.unwrap();
    assert!(!world.has("v"));
    one.create(&first).await.unwrap();
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::Detached);
    assert!(world.has("v/data/file"));
}

/// Nobody on this node has decided anything about the data.
#[tokio::test]
async fn a_creation_that_failed_after_it_joined_deletes_nothing() {
    let world = World::new();
    let (one, two) = (world.node("n1"), world.node("n2"));
    let (mut first, second) = (volume("v"), volume("v"));
    first.handle = one.create(&first).await.unwrap().handle;
    world.write("v/data/file");
    two.create(&second).await.unwrap();
    one.set_aside(&first).await.unwrap();
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::SetAside);

    two.remove(&second).await.unwrap();
    assert!(world.has("v/data/file"), "the first may still want it back");
    one.create(&first).await.unwrap();
    assert_eq!(one.inspect(&first).await.unwrap(), Inspection::Detached);
}

/// What is not found in the mount table would be mounted once more by every call.
#[tokio::test]
async fn exports_are_mounted_at_resolved_paths() {
    let world = World::new();
    let real = TempDir::new().unwrap();
    let link = real.path().join("link");
    fs::create_dir(real.path().join("mnt")).unwrap();
    std::os::unix::fs::symlink("mnt", &link).unwrap();
    let settings = NfsSettings {
        cluster: "prod".into(),
        records: Records::Nodes,
        secret: None,
        exports: vec![testing::export_of(&world.filer)],
    };
    let node = Node { name: "n1".into(), machine: "m1".into() };
    let backend = Nfs::open(settings, &node, &link);
    let resolved = real.path().canonicalize().unwrap().join("mnt/exports/fast");
    assert_eq!(backend.exports["fast"].images.at, resolved);
}
