//! Trees deleted and measured, and links that lead out of them.

use std::{
    os::unix::fs::{MetadataExt, symlink},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use super::*;

/// What du says: bytes on disk.
#[track_caller]
fn du(path: &Path) -> u64 {
    fn walk(path: &Path, seen: &mut std::collections::HashSet<u64>) -> u64 {
        let meta = fs::symlink_metadata(path).unwrap();
        if !seen.insert(meta.ino()) {
            return 0;
        }
        let below = if meta.is_dir() {
            fs::read_dir(path).unwrap().map(|entry| walk(&entry.unwrap().path(), seen)).sum()
        } else {
            0
        };
        meta.blocks() * 512 + below
    }
    walk(path, &mut std::collections::HashSet::new())
}

/// 2,000 files in 20 directories, some of them deep, with hard links and odd things.
fn plant(filer: &Filer) {
    for dir in 0..20 {
        let path = filer.local(format!("t/{}d{dir}", "deep/".repeat(dir % 5)));
        fs::create_dir_all(&path).unwrap();
        for n in 0..100 {
            put(path.join(format!("f{n}")), vec![7; n * 100]);
        }
        fs::hard_link(path.join("f99"), path.join("again")).unwrap();
    }
    fs::create_dir(filer.local("t/empty")).unwrap();
    symlink("/nowhere", filer.local("t/dangling")).unwrap();
    let pipe = filer.local("t/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
}

#[tokio::test]
async fn a_tree_is_measured_as_du_does_and_deleted_whole() {
    let filer = Filer::new();
    let tree = filer.open();
    plant(&filer);
    rustix::fs::sync();
    let usage = tree.measure("t", FAST).await.unwrap();
    assert_eq!(usage.bytes, du(&filer.local("t")));
    // 20 of `plant`, t, empty, and four levels of deep.
    let directories = 20 + 2 + 4;
    assert_eq!(usage, Usage { bytes: usage.bytes, files: 2002, directories });

    let removed = tree.remove_tree("t").await.unwrap();
    assert_eq!(removed, Removed { files: 2022, directories });
    assert!(!filer.local("t").exists());
    assert_eq!(tree.remove_tree("t").await.unwrap(), Removed::default());
    assert_eq!(tree.remove_tree("t/u/v").await.unwrap(), Removed::default());
    assert!(matches!(cause(tree.measure("t", FAST).await), Cause::NotFound));
    assert!(matches!(cause(tree.remove_tree("").await), Cause::Refused(_)));
}

#[tokio::test]
async fn a_directory_of_many_pages_is_deleted() {
    let filer = Filer::new();
    let tree = filer.open();
    fs::create_dir(filer.local("t")).unwrap();
    for n in 0..5000 {
        put(filer.local(format!("t/file-{n}")), "");
    }
    for n in 0..1000 {
        fs::create_dir(filer.local(format!("t/directory-{n}"))).unwrap();
    }
    let removed = tree.remove_tree("t").await.unwrap();
    assert_eq!(removed, Removed { files: 5000, directories: 1001 });
}

#[tokio::test]
async fn a_single_file_is_measured_and_deleted() {
    let filer = Filer::new();
    let tree = filer.open();
    put(filer.local("f"), [1; 5000]);
    rustix::fs::sync();
    let usage = tree.measure("f", FAST).await.unwrap();
    assert_eq!(usage, Usage { bytes: du(&filer.local("f")), files: 1, directories: 0 });
    assert!(usage.bytes >= 5000);
    assert_eq!(tree.remove_tree("f").await.unwrap(), Removed { files: 1, directories: 0 });
    assert!(!filer.local("f").exists());
}

#[tokio::test]
async fn no_operation_follows_a_link() {
    let filer = Filer::new();
    let tree = filer.open();
    fs::create_dir_all(filer.local("other/keep")).unwrap();
    put(filer.local("other/secret"), "x");
    fs::create_dir_all(filer.local("t/in")).unwrap();
    symlink("../other", filer.local("t/relative")).unwrap();
    symlink(filer.local("other"), filer.local("t/in/absolute")).unwrap();
    symlink("../other/secret", filer.local("t/file")).unwrap();
    let before = fs::symlink_metadata(filer.local("other")).unwrap();

    let not_a_directory = |cause: Cause| matches!(cause, Cause::NotADirectory(_));
    assert!(not_a_directory(cause(tree.kind("t/relative/keep").await)));
    assert!(not_a_directory(cause(tree.list("t/relative").await)));
    assert!(not_a_directory(cause(tree.make_dir("t/relative/new", 0o700).await)));
    assert!(not_a_directory(cause(tree.write("t/relative/new", b"x").await)));
    assert!(not_a_directory(cause(tree.read("t/relative/secret", 10).await)));
    assert!(not_a_directory(cause(tree.remove_tree("t/relative/keep").await)));
    assert!(not_a_directory(cause(tree.rename("t/relative/keep", "keep").await)));
    assert!(not_a_directory(cause(tree.rename("t/in", "t/relative/in").await)));
    assert!(not_a_directory(cause(tree.measure("t/relative/keep", FAST).await)));
    assert!(matches!(cause(tree.make_dir("t/relative", 0o700).await), Cause::Exists));
    assert!(matches!(cause(tree.read("t/file", 10).await), Cause::Refused(_)));
    assert_eq!(tree.measure("t", FAST).await.unwrap().files, 3);

    // A link is replaced by a file, and not what it leads to.
    tree.write("t/file", b"mine").await.unwrap();
    assert_eq!(fs::read(filer.local("other/secret")).unwrap(), b"x");
    tree.remove_tree("t/relative").await.unwrap();
    tree.remove_tree("t").await.unwrap();
    assert!(!filer.local("t").exists());
    assert!(filer.local("other/keep").is_dir());
    assert_eq!(fs::read(filer.local("other/secret")).unwrap(), b"x");
    let after = fs::symlink_metadata(filer.local("other")).unwrap();
    assert_eq!((before.mtime(), before.mode()), (after.mtime(), after.mode()));
}

#[tokio::test]
async fn the_owner_of_a_link_s_target_stays() {
    let filer = Filer::new();
    let tree = filer.open();
    fs::create_dir(filer.local("other")).unwrap();
    symlink("other", filer.local("l")).unwrap();
    let owner = Owner { uid: Some(1234), ..Owner::default() };
    let result = tree.set_owner("l", owner).await;
    assert!(matches!(cause(result), Cause::Refused(_)));
    assert_eq!(fs::metadata(filer.local("other")).unwrap().uid(), 0);
}

#[tokio::test]
async fn another_file_system_below_is_left_alone() {
    let mounted_below = Some("t/other");
    let filer = Filer::with(Options { mounted_below, ..Options::default() });
    let tree = filer.open();
    put(filer.local("t/other/keep"), "x");
    put(filer.local("t/f"), "x");
    let usage = tree.measure("t", FAST).await.unwrap();
    assert_eq!((usage.files, usage.directories), (1, 1));
    let cause = cause(tree.remove_tree("t").await);
    assert!(matches!(&cause, Cause::Refused(why) if why.contains("other")), "{cause}");
    assert_eq!(fs::read(filer.local("t/other/keep")).unwrap(), b"x");
}

#[tokio::test]
async fn a_measurement_keeps_its_pace() {
    let filer = Filer::new();
    let tree = filer.open();
    for n in 0..10 {
        fs::create_dir_all(filer.local(format!("t/d{n}"))).unwrap();
    }
    let pace = Pace { calls_per_second: NonZeroU32::new(10).unwrap() };
    let begun = Instant::now();
    assert_eq!(tree.measure("t", pace).await.unwrap().directories, 11);
    // Eleven directories, the first at once.
    assert!(begun.elapsed() >= Duration::from_millis(1000), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_tree_is_deleted_while_files_appear_in_it() {
    let filer = Filer::new();
    let tree = filer.open();
    plant(&filer);
    let path = filer.local("t/deep/d1");
    let (enough, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = std::thread::spawn({
        let (enough, made) = (Arc::clone(&enough), Arc::clone(&made));
        move || {
            while !enough.load(Ordering::Relaxed) {
                let name = format!("new-{}", made.load(Ordering::Relaxed));
                if fs::File::create(path.join(name)).is_ok() {
                    made.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let result = tree.remove_tree("t").await;
    enough.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let made = made.load(Ordering::Relaxed);
    assert!(made > 0, "nothing appeared: this proves nothing");
    match result {
        Ok(removed) => assert_eq!(removed.files, 2022 + made),
        Err(error) => {
            assert!(matches!(error.cause, Cause::Refused(_)), "{error}");
            tree.remove_tree("t").await.unwrap();
        }
    }
    assert!(!filer.local("t").exists());
}
