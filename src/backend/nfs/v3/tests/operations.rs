//! Every operation, on a server that is well.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

#[tokio::test]
async fn a_directory_is_made_once() {
    let filer = Filer::new();
    let tree = filer.open();
    tree.probe().await.unwrap();
    assert_eq!(tree.make_dir("a", 0o750).await.unwrap(), Made::New);
    assert_eq!(tree.make_dir("a", 0o700).await.unwrap(), Made::Present);
    assert_eq!(tree.make_dir("a/b c", 0o2775).await.unwrap(), Made::New);
    assert_eq!(fs::metadata(filer.local("a")).unwrap().mode() & 0o7777, 0o750);
    assert_eq!(fs::metadata(filer.local("a/b c")).unwrap().mode() & 0o777, 0o775);

    put(filer.local("file"), "x");
    assert!(matches!(cause(tree.make_dir("file", 0o700).await), Cause::Exists));
    assert!(matches!(cause(tree.make_dir("no/b", 0o700).await), Cause::NotFound));
    assert!(matches!(cause(tree.make_dir("file/b", 0o700).await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.make_dir("../b", 0o700).await), Cause::Refused(_)));
    assert!(matches!(cause(tree.make_dir("", 0o700).await), Cause::Refused(_)));
}

#[tokio::test]
async fn what_is_there_is_told_by_its_kind() {
    let filer = Filer::new();
    let tree = filer.open();
    fs::create_dir_all(filer.local("d/e")).unwrap();
    put(filer.local("d/f"), "x");
    symlink("f", filer.local("d/l")).unwrap();
    assert_eq!(tree.kind("").await.unwrap(), Some(Kind::Directory));
    assert_eq!(tree.kind("d/e").await.unwrap(), Some(Kind::Directory));
    assert_eq!(tree.kind("d/f").await.unwrap(), Some(Kind::File));
    assert_eq!(tree.kind("d/l").await.unwrap(), Some(Kind::Other));
    assert_eq!(tree.kind("d/no").await.unwrap(), None);
    assert_eq!(tree.kind("no/no").await.unwrap(), None);
    assert!(matches!(cause(tree.kind("d/f/x").await), Cause::NotADirectory(_)));
}

#[tokio::test]
async fn owner_and_mode_are_set_together_or_one_by_one() {
    let filer = Filer::new();
    let tree = filer.open();
    tree.make_dir("a", 0o700).await.unwrap();
    let all = Owner { uid: Some(1234), gid: Some(2345), mode: Some(0o2770) };
    tree.set_owner("a", all).await.unwrap();
    let look = || {
        let meta = fs::metadata(filer.local("a")).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    assert_eq!(look(), (1234, 2345, 0o2770));
    tree.set_owner("a", Owner { gid: Some(7), ..Owner::default() }).await.unwrap();
    assert_eq!(look(), (1234, 7, 0o2770));
    tree.set_owner("a", Owner { mode: Some(0o1777), ..Owner::default() }).await.unwrap();
    assert_eq!(look(), (1234, 7, 0o1777));
    assert!(matches!(cause(tree.set_owner("no", all).await), Cause::NotFound));
}

#[tokio::test]
async fn a_file_is_replaced_as_a_whole() {
    let filer = Filer::new();
    let tree = filer.open();
    tree.make_dir("a", 0o700).await.unwrap();
    assert_eq!(tree.read("a/f", 10).await.unwrap(), None);
    assert_eq!(tree.read("no/f", 10).await.unwrap(), None);
    let large: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[0]).collect();
    for bytes in [&b"one"[..], &large, b"", b"two"] {
        tree.write("a/f", bytes).await.unwrap();
        assert_eq!(fs::read(filer.local("a/f")).unwrap(), bytes);
        assert_eq!(tree.read("a/f", 300_000).await.unwrap().unwrap(), bytes);
    }
    let metadata = fs::metadata(filer.local("a/f")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    assert_eq!(tree.list("a").await.unwrap().len(), 1, "a temporary file was left behind");
    assert!(matches!(cause(tree.read("a/f", 2).await), Cause::Refused(_)));
    assert!(matches!(cause(tree.read("a", 2).await), Cause::Refused(_)));
    assert!(matches!(cause(tree.write("a", b"x").await), Cause::Refused(_)));
    assert!(matches!(cause(tree.write("no/f", b"x").await), Cause::NotFound));
}

#[tokio::test]
async fn a_list_has_all_names_over_many_pages() {
    let filer = Filer::new();
    let tree = filer.open();
    fs::create_dir(filer.local("d")).unwrap();
    for n in 0..3000 {
        put(filer.local(format!("d/file-with-a-long-name-{n:05}")), "");
    }
    fs::create_dir(filer.local("d/sub")).unwrap();
    symlink("sub", filer.local("d/link")).unwrap();
    let mut entries = tree.list("d").await.unwrap();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(entries.len(), 3002);
    assert_eq!(entries[0].name, "file-with-a-long-name-00000");
    assert_eq!(entries[2999].kind, Kind::File);
    assert_eq!(entries[3000], Entry { name: "link".into(), kind: Kind::Other });
    assert_eq!(entries[3001], Entry { name: "sub".into(), kind: Kind::Directory });
    entries.dedup_by(|one, other| one.name == other.name);
    assert_eq!(entries.len(), 3002, "a name came twice");

    assert_eq!(tree.list("d/sub").await.unwrap(), []);
    assert!(matches!(cause(tree.list("d/link").await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.list("no").await), Cause::NotFound));
}

#[tokio::test]
async fn a_rename_replaces_nothing() {
    let filer = Filer::new();
    let tree = filer.open();
    fs::create_dir_all(filer.local("a/full")).unwrap();
    fs::create_dir(filer.local("trash")).unwrap();
    fs::create_dir(filer.local("empty")).unwrap();
    put(filer.local("f"), "x");
    tree.rename("a", "trash/a-1").await.unwrap();
    assert!(filer.local("trash/a-1/full").is_dir() && !filer.local("a").exists());
    assert!(matches!(cause(tree.rename("trash/a-1", "empty").await), Cause::Exists));
    assert!(matches!(cause(tree.rename("trash/a-1", "trash/a-1").await), Cause::Exists));
    assert!(matches!(cause(tree.rename("empty", "f").await), Cause::Exists));
    assert!(matches!(cause(tree.rename("no", "other").await), Cause::NotFound));
    assert!(matches!(cause(tree.rename("empty", "no/other").await), Cause::NotFound));
    tree.rename("f", "trash/f").await.unwrap();
    assert_eq!(fs::read(filer.local("trash/f")).unwrap(), b"x");
}

#[tokio::test]
async fn the_room_is_that_of_the_file_system() {
    let filer = Filer::new();
    let space = filer.open().space().await.unwrap();
    let local = rustix::fs::statvfs(filer.server.export()).unwrap();
    assert_eq!(space.total, local.f_blocks * local.f_frsize);
    assert_eq!(space.free, local.f_bavail * local.f_frsize);
}

#[tokio::test]
async fn a_directory_below_an_export_is_an_export_too() {
    let filer = Filer::new();
    fs::create_dir_all(filer.local("apps/x")).unwrap();
    let mut config = filer.config();
    config.export.push_str("/apps");
    let tree = NfsV3::new(config.clone());
    tree.probe().await.unwrap();
    tree.make_dir("y", 0o700).await.unwrap();
    assert!(filer.local("apps/y").is_dir());

    config.export.push_str("/no");
    assert!(matches!(cause(NfsV3::new(config).probe().await), Cause::NoExport(_)));
}

#[tokio::test]
async fn an_export_that_was_made_again_is_found_again() {
    let filer = Filer::new();
    fs::create_dir_all(filer.local("apps/x")).unwrap();
    let mut config = filer.config();
    config.export.push_str("/apps");
    let tree = NfsV3::new(config);
    assert_eq!(tree.list("").await.unwrap().len(), 1);
    fs::remove_dir_all(filer.local("apps")).unwrap();
    fs::create_dir(filer.local("apps")).unwrap();
    assert_eq!(tree.list("").await.unwrap().len(), 0);
    tree.make_dir("y", 0o700).await.unwrap();
    assert!(filer.local("apps/y").is_dir());
}

#[tokio::test]
async fn fifty_directories_are_made_at_once() {
    let filer = Filer::new();
    let tree = filer.open();
    let mut running = tokio::task::JoinSet::new();
    for n in 0..50 {
        let tree = tree.clone();
        running.spawn(async move {
            let path = format!("app-{n}");
            assert_eq!(tree.make_dir(&path, 0o700).await.unwrap(), Made::New);
            tree.write(&format!("{path}/.volume"), path.as_bytes()).await.unwrap();
        });
    }
    for result in running.join_all().await {
        let () = result;
    }
    assert_eq!(tree.list("").await.unwrap().len(), 50);
    for n in 0..50 {
        let path = format!("app-{n}");
        assert_eq!(fs::read(filer.local(&path).join(".volume")).unwrap(), path.as_bytes());
    }
}
