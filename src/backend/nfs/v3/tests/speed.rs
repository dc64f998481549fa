//! What it costs, printed: `cargo test --lib nfs::v3::tests::speed -- --ignored --nocapture`.

use std::time::Instant;

use ganesha::Filesystem;

use super::*;

fn report(what: &str, count: u64, begun: Instant) {
    let elapsed = begun.elapsed();
    let per_second = count as f64 / elapsed.as_secs_f64();
    println!("{what}: {:.2} s, {per_second:.0} a second", elapsed.as_secs_f64());
}

/// The most memory that this process ever had, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
#[ignore = "takes a minute and judges nothing"]
async fn what_it_costs() {
    let filer = Filer::with(Options { filesystem: Filesystem::Ext4(2048), ..Options::default() });
    let tree = filer.open();

    let begun = Instant::now();
    for n in 0..1000 {
        make_volume(&tree, n).await;
    }
    report("1,000 directories with a file, one after the other", 1000, begun);
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for part in 0..8 {
        let tree = tree.clone();
        running.spawn(async move {
            for n in 0..125 {
                make_volume(&tree, 1000 + part * 125 + n).await;
            }
        });
    }
    running.join_all().await;
    report("1,000 directories with a file, eight at once", 1000, begun);

    fs::create_dir(filer.local("list")).unwrap();
    for n in 0..10_000 {
        fs::create_dir(filer.local(format!("list/volume-{n:05}"))).unwrap();
    }
    for round in ["first", "again"] {
        let begun = Instant::now();
        assert_eq!(tree.list("list").await.unwrap().len(), 10_000);
        report(&format!("list of 10,000 entries, {round}"), 10_000, begun);
    }

    fs::create_dir(filer.local("delete")).unwrap();
    for n in 0..100_000 {
        put(filer.local(format!("delete/file-{n}")), "");
    }
    let begun = Instant::now();
    tree.measure("delete", FAST).await.unwrap();
    report("measure 100,000 files, without a limit", 100_000, begun);
    let (begun, memory) = (Instant::now(), peak_memory());
    let removed = tree.remove_tree("delete").await.unwrap();
    report("delete 100,000 files in one directory", 100_000, begun);
    println!("memory grew by {} KiB while deleting", peak_memory() - memory);
    assert_eq!(removed, Removed { files: 100_000, directories: 1 });
}

async fn make_volume(tree: &NfsV3, n: u64) {
    let dir = format!("v{n}");
    assert_eq!(tree.make_dir(&dir, 0o700).await.unwrap(), Made::New);
    tree.write(&format!("{dir}/.volume"), dir.as_bytes()).await.unwrap();
}
