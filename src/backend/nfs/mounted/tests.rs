//! The operations on a plain directory. The mount itself needs a server, and a kernel with a client.

use std::{
    fmt, fs,
    num::NonZeroU32,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Instant,
};

use super::*;
use crate::{
    backend::nfs::{testing::export_of, tree::Kind},
    spec::FsType,
    sys::testing::{Unmount, World},
};

const FAST: Pace = Pace { calls_per_second: NonZeroU32::new(1_000_000).unwrap() };

/// An export in a directory beside which there is something that no call may touch.
struct Export {
    dir: tempfile::TempDir,
    tree: Mounted,
}

impl Export {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("export")).unwrap();
        fs::create_dir_all(dir.path().join("outside/deep")).unwrap();
        put(&dir.path().join("outside/file"), b"precious");
        let tree = Mounted::over(&dir.path().join("export")).unwrap();
        Self { dir, tree }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("export").join(path)
    }

    #[track_caller]
    fn assert_outside_is_untouched(&self) {
        let outside = self.dir.path().join("outside");
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
        assert_eq!(fs::read_dir(outside.join("deep")).unwrap().count(), 0);
    }
}

#[expect(clippy::disallowed_methods, reason = "what a test prepares need not be durable")]
fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn cause<T: fmt::Debug>(result: Result<T, TreeError>) -> Cause {
    result.unwrap_err().cause
}

#[tokio::test]
async fn directories_are_made_with_their_mode_and_making_them_again_changes_nothing() {
    let export = Export::new();

    assert_eq!(export.tree.make_dir("a", 0o2777).await.unwrap(), Made::New);
    assert_eq!(export.tree.make_dir("a", 0o700).await.unwrap(), Made::Present);
    assert_eq!(export.tree.make_dir("a/b", 0o755).await.unwrap(), Made::New);
    put(&export.path("file"), b"");

    assert_eq!(fs::metadata(export.path("a")).unwrap().mode() & 0o7777, 0o2777, "no umask");
    assert!(matches!(cause(export.tree.make_dir("x/y", 0o700).await), Cause::NotFound));
    assert!(matches!(cause(export.tree.make_dir("file", 0o700).await), Cause::Exists));
    assert!(matches!(cause(export.tree.make_dir("file/x", 0o700).await), Cause::NotADirectory(_)));
}

#[tokio::test]
async fn the_kind_of_everything_is_told_and_nothing_is_none() {
    let export = Export::new();
    fs::create_dir(export.path("dir")).unwrap();
    put(&export.path("dir/file"), b"");
    symlink("dir", export.path("link")).unwrap();
    let kinds = [
        ("", Some(Kind::Directory)),
        ("dir", Some(Kind::Directory)),
        ("dir/file", Some(Kind::File)),
        ("link", Some(Kind::Other)),
        ("none", None),
        ("none/deeper", None),
    ];

    for (path, kind) in kinds {
        assert_eq!(export.tree.kind(path).await.unwrap(), kind, "{path}");
    }
    assert!(matches!(cause(export.tree.kind("link/file").await), Cause::NotADirectory(_)));
    assert!(matches!(cause(export.tree.kind("dir/file/x").await), Cause::NotADirectory(_)));
}

#[tokio::test]
async fn owner_and_mode_are_set_and_what_is_not_given_stays() {
    let export = Export::new();
    export.tree.make_dir("a", 0o750).await.unwrap();
    put(&export.path("file"), b"");

    let owner = Owner { uid: Some(1234), gid: Some(77), mode: Some(0o6711) };
    export.tree.set_owner("a", owner).await.unwrap();
    export.tree.set_owner("a", owner).await.unwrap();
    export.tree.set_owner("file", Owner { gid: Some(5), ..Owner::default() }).await.unwrap();
    export.tree.set_owner("", Owner { mode: Some(0o711), ..Owner::default() }).await.unwrap();

    let of = |path: &str| {
        let meta = fs::metadata(export.path(path)).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    assert_eq!(of("a"), (1234, 77, 0o6711));
    assert_eq!((of("file").0, of("file").1), (0, 5));
    assert_eq!(of("").2, 0o711);
    assert!(matches!(cause(export.tree.set_owner("none", owner).await), Cause::NotFound));
}

#[tokio::test]
async fn files_are_replaced_as_a_whole_and_read_up_to_a_limit() {
    let export = Export::new();
    fs::create_dir(export.path("d")).unwrap();

    assert_eq!(export.tree.read("d/mark", 10).await.unwrap(), None);
    assert_eq!(export.tree.read("none/mark", 10).await.unwrap(), None);
    export.tree.write("d/mark", b"first").await.unwrap();
    export.tree.write("d/mark", b"second").await.unwrap();

    assert_eq!(export.tree.read("d/mark", 6).await.unwrap().unwrap(), b"second");
    assert!(matches!(cause(export.tree.read("d/mark", 5).await), Cause::Refused(_)));
    assert!(matches!(cause(export.tree.read("d", 5).await), Cause::Refused(_)));
    assert!(matches!(cause(export.tree.write("none/mark", b"").await), Cause::NotFound));
    assert!(matches!(cause(export.tree.write("d", b"").await), Cause::Refused(_)));
    let names: Vec<_> = fs::read_dir(export.path("d")).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file is left: {names:?}");
    assert_eq!(fs::metadata(export.path("d/mark")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_pipe_in_a_files_place_is_refused_and_not_waited_for() {
    let export = Export::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, export.path("pipe"), rustix::fs::Mode::RUSR).unwrap();

    assert!(matches!(cause(export.tree.read("pipe", 5).await), Cause::Refused(_)));
}

#[tokio::test]
async fn everything_in_a_directory_is_listed_with_its_kind() {
    let export = Export::new();
    fs::create_dir(export.path("dir")).unwrap();
    put(&export.path("file"), b"");
    symlink("nowhere", export.path("link")).unwrap();

    let mut entries = export.tree.list("").await.unwrap();

    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let entry = |name: &str, kind| Entry { name: name.into(), kind };
    let expected =
        [entry("dir", Kind::Directory), entry("file", Kind::File), entry("link", Kind::Other)];
    assert_eq!(entries, expected);
    assert!(matches!(cause(export.tree.list("none").await), Cause::NotFound));
    assert!(matches!(cause(export.tree.list("file").await), Cause::NotADirectory(_)));
    assert!(matches!(cause(export.tree.list("link").await), Cause::NotADirectory(_)));
}

#[tokio::test]
async fn a_rename_never_replaces_anything() {
    let export = Export::new();
    for dir in ["a", "b", "trash"] {
        fs::create_dir(export.path(dir)).unwrap();
    }
    put(&export.path("a/file"), b"of a");

    export.tree.rename("a", "trash/a").await.unwrap();

    assert_eq!(fs::read(export.path("trash/a/file")).unwrap(), b"of a");
    assert!(matches!(cause(export.tree.rename("b", "trash/a").await), Cause::Exists));
    assert!(matches!(cause(export.tree.rename("b", "trash").await), Cause::Exists));
    assert!(matches!(cause(export.tree.rename("a", "c").await), Cause::NotFound));
    assert!(matches!(cause(export.tree.rename("b", "none/b").await), Cause::NotFound));
}

#[tokio::test]
async fn in_an_export_that_was_deleted_and_made_anew_nothing_passes_for_absent() {
    let export = Export::new();
    fs::remove_dir(export.path("")).unwrap();
    fs::create_dir(export.path("")).unwrap();

    assert!(matches!(cause(export.tree.kind("a").await), Cause::Stale));
    assert!(matches!(cause(export.tree.remove_tree("a").await), Cause::Stale));
    assert!(matches!(cause(export.tree.make_dir("a", 0o700).await), Cause::Stale));
    assert!(matches!(cause(export.tree.probe().await), Cause::Stale));
}

#[tokio::test]
async fn links_are_never_followed() {
    let export = Export::new();
    symlink("../outside", export.path("link")).unwrap();
    fs::create_dir(export.path("d")).unwrap();
    symlink("../../outside/file", export.path("d/file")).unwrap();
    symlink("../../outside", export.path("d/dir")).unwrap();
    let tree = &export.tree;
    let owner = Owner { uid: Some(1), gid: Some(1), mode: Some(0o777) };

    assert!(matches!(cause(tree.make_dir("link/x", 0o700).await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.make_dir("link", 0o700).await), Cause::Exists));
    assert!(matches!(cause(tree.set_owner("link", owner).await), Cause::Refused(_)));
    assert!(matches!(cause(tree.set_owner("link/file", owner).await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.read("d/file", 100).await), Cause::Refused(_)));
    assert!(matches!(cause(tree.read("link/file", 100).await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.write("link/x", b"").await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.rename("d", "link/d").await), Cause::NotADirectory(_)));
    assert!(matches!(cause(tree.remove_tree("link/deep").await), Cause::NotADirectory(_)));
    // The link itself, not what it names.
    tree.write("d/file", b"mine").await.unwrap();
    assert_eq!(tree.measure("d", FAST).await.unwrap().files, 2);
    assert_eq!(tree.remove_tree("link").await.unwrap(), Removed { files: 1, directories: 0 });
    assert_eq!(tree.remove_tree("d").await.unwrap(), Removed { files: 2, directories: 1 });
    export.assert_outside_is_untouched();
}

#[tokio::test]
async fn paths_that_lead_out_of_the_export_are_refused() {
    let export = Export::new();
    for path in ["..", "../outside", "/etc", "a/../..", "a//b", "a/", ".", "a\0b"] {
        let tree = &export.tree;
        let refusals = [
            cause(tree.make_dir(path, 0o700).await),
            cause(tree.write(path, b"").await),
            cause(tree.list(path).await),
            cause(tree.remove_tree(path).await),
            cause(tree.measure(path, FAST).await),
        ];
        for refusal in refusals {
            assert!(matches!(refusal, Cause::Refused(_)), "{path:?}: {refusal}");
        }
    }
    assert!(matches!(cause(export.tree.remove_tree("").await), Cause::Refused(_)));
    export.assert_outside_is_untouched();
}

/// 40 directories of 50 files, and a chain of directories.
fn plant(top: &Path) {
    for branch in 0..40 {
        let dir = top.join(format!("branch-{branch}"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..50 {
            put(&dir.join(format!("file-{file}")), b"x");
        }
    }
    fs::create_dir_all(top.join(["chain"; 30].join("/"))).unwrap();
}

#[tokio::test]
async fn two_thousand_files_in_many_directories_are_removed_and_counted() {
    let export = Export::new();
    plant(&export.path("tree"));
    let start = Instant::now();

    let removed = export.tree.remove_tree("tree").await.unwrap();
    let again = export.tree.remove_tree("tree").await.unwrap();

    println!("2,000 files in 71 directories: {:?}", start.elapsed());
    assert_eq!(removed, Removed { files: 2000, directories: 71 });
    assert_eq!(again, Removed::default());
    assert!(!export.path("tree").exists());
}

#[tokio::test]
async fn a_tree_that_is_deeper_than_any_stack_is_removed() {
    let export = Export::new();
    // Deeper than a path may be long, by names relative to descriptors.
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::from_raw_mode(0o700);
    let mut dir = rustix::fs::open(export.path(""), flags, mode).unwrap();
    for _ in 0..5000 {
        rustix::fs::mkdirat(&dir, "down", mode).unwrap();
        dir = rustix::fs::openat(&dir, "down", flags, mode).unwrap();
    }

    let removed = export.tree.remove_tree("down").await.unwrap();

    assert_eq!(removed, Removed { files: 0, directories: 5000 });
}

#[tokio::test]
async fn files_that_are_made_while_a_tree_is_removed_end_it_with_a_reason_or_go_with_it() {
    let export = Export::new();
    fs::create_dir(export.path("busy")).unwrap();
    let dir = export.path("busy");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut made = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if fs::File::create(dir.join(format!("{made}"))).is_err() {
                    return;
                }
                made += 1;
            }
        }
    });

    let result = timeout(Duration::from_secs(60), export.tree.remove_tree("busy")).await.unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();

    match result {
        Ok(removed) => assert_eq!(removed.directories, 1),
        Err(error) => assert!(error.to_string().contains("as fast as they are deleted"), "{error}"),
    }
}

#[tokio::test]
async fn a_tree_is_measured_with_linked_files_once() {
    let export = Export::new();
    plant(&export.path("tree"));
    put(&export.path("tree/big"), &[7; 100_000]);
    fs::hard_link(export.path("tree/big"), export.path("tree/same")).unwrap();
    fs::hard_link(export.path("tree/big"), export.path("tree/branch-0/same")).unwrap();

    let usage = export.tree.measure("tree", FAST).await.unwrap();
    let one = export.tree.measure("tree/big", FAST).await.unwrap();

    assert_eq!((usage.files, usage.directories), (2001, 71));
    assert!(usage.bytes >= 2000 * 4096 / 8 + 100_000, "{usage:?}");
    let stat = fs::metadata(export.path("tree/big")).unwrap();
    assert_eq!(one, Usage { bytes: stat.blocks() * 512, files: 1, directories: 0 });
    assert!(matches!(cause(export.tree.measure("none", FAST).await), Cause::NotFound));
}

#[tokio::test]
async fn measuring_keeps_its_pace() {
    let export = Export::new();
    for file in 0..100 {
        put(&export.path(&format!("{file}")), b"");
    }
    let start = Instant::now();

    let pace = Pace { calls_per_second: NonZeroU32::new(200).unwrap() };
    export.tree.measure("", pace).await.unwrap();

    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn another_file_system_below_is_neither_entered_nor_deleted() {
    let world = World::alone();
    let disk = world.formatted(FsType::Ext4, 16).await;
    let export = world.dir("export");
    fs::create_dir_all(export.join("tree/mounted")).unwrap();
    let inner = export.join("tree/mounted");
    crate::sys::mount::mount_fs(disk.path(), &inner, FsType::Ext4, &[]).unwrap();
    let _mount = Unmount(inner);
    put(&export.join("tree/mounted/file"), b"theirs");
    let tree = Mounted::over(&export).unwrap();

    let usage = tree.measure("tree", FAST).await.unwrap();
    let error = tree.remove_tree("tree").await.unwrap_err();

    assert_eq!((usage.files, usage.directories), (0, 1));
    assert!(error.to_string().contains("another file system"), "{error}");
    assert_eq!(fs::read(export.join("tree/mounted/file")).unwrap(), b"theirs");
}

#[tokio::test]
async fn a_read_only_export_says_so() {
    let world = World::alone();
    let disk = world.formatted(FsType::Ext4, 16).await;
    let mount = world.mount(&disk, FsType::Ext4, &["ro".into()]);
    let tree = Mounted::over(mount.path()).unwrap();

    assert!(matches!(cause(tree.make_dir("a", 0o700).await), Cause::ReadOnly));
    assert!(matches!(cause(tree.write("a", b"").await), Cause::ReadOnly));
    assert!(matches!(cause(tree.remove_tree("lost+found").await), Cause::ReadOnly));
    assert_eq!(tree.make_dir("lost+found", 0o700).await.unwrap(), Made::Present);
    drop(tree);
}

#[tokio::test]
async fn a_full_export_says_so_and_the_old_contents_stay() {
    let world = World::alone();
    let disk = world.formatted(FsType::Ext4, 16).await;
    let mount = world.mount(&disk, FsType::Ext4, &[]);
    let tree = Mounted::over(mount.path()).unwrap();
    tree.write("mark", b"old").await.unwrap();
    let free = tree.space().await.unwrap();

    let error = tree.write("mark", &vec![1; 32 << 20]).await.unwrap_err();

    assert!(matches!(error.cause, Cause::Full(_)), "{error}");
    assert_eq!(tree.read("mark", 100).await.unwrap().unwrap(), b"old");
    assert_eq!(tree.list("").await.unwrap().len(), 2, "lost+found and mark");
    assert!(free.free > 0 && free.free < free.total && free.total < 16 << 20, "{free:?}");
    drop(tree);
}

/// Without the client's answer: the program in its place does nothing.
#[tokio::test]
async fn nothing_is_done_in_the_directory_beneath_a_mount_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("helper");
    put(&helper, b"#!/bin/sh\ncat >> \"$0.log\"; echo '\"done\"'\n");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let helper: &'static str = Box::leak(helper.display().to_string().into_boxed_str());
    let target = dir.path().join("control");
    let export = dir.path().join("export");
    fs::create_dir(&export).unwrap();
    let filer = ganesha::Server::start(&export, ganesha::Options::default());
    let options = vec!["hard,sec=krb5".into()];
    let settings = ExportSettings { options, ..export_of(&filer) };
    let place = settings.server.to_string();
    let tree = Mounted::new(settings, target.clone(), Helper::at(helper));

    let error = tree.make_dir("a", 0o700).await.unwrap_err();

    let start = format!("make directory {place}/a: refused: ");
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(error.to_string().contains("was unmounted"), "{error}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o700);
    let log = fs::read_to_string(format!("{helper}.log")).unwrap();
    assert!(log.contains("soft,timeo=30,retrans=1"), "{log}");
    assert!(log.contains("sec=krb5") && !log.contains("hard"), "{log}");
}
