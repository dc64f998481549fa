//! A server that dies, returns, or stops in the middle of every operation.

use std::{thread, time::Instant};

use super::*;

/// The processor time of this thread, which runs the whole client in these tests.
#[track_caller]
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// An operation's result: done, or the server is away; anything else is a failure.
#[track_caller]
fn done<T>(result: Result<T, TreeError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(TreeError { cause: Cause::Unreachable(_), .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// As a backend would: again until the server is there.
async fn until_done<T, F>(mut operation: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, TreeError>>,
{
    let limit = Duration::from_secs(5);
    loop {
        let begun = Instant::now();
        let result = done(operation().await);
        assert!(begun.elapsed() < limit, "an operation took {:?}", begun.elapsed());
        if let Some(value) = result {
            return value;
        }
    }
}

/// One life of a volume's directory, each step until it is done.
async fn live(tree: &NfsV3, n: usize) {
    let (dir, file, trash) = (format!("d{n}"), format!("d{n}/f"), format!("t{n}"));
    until_done(|| tree.make_dir(&dir, 0o700)).await;
    let owner = Owner { uid: Some(7), gid: None, mode: Some(0o711) };
    until_done(|| tree.set_owner(&dir, owner)).await;
    until_done(|| tree.write(&file, dir.as_bytes())).await;
    assert_eq!(until_done(|| tree.read(&file, 99)).await.unwrap(), dir.as_bytes());
    until_done(|| tree.space()).await;
    assert!(!until_done(|| tree.list("")).await.is_empty());
    assert_eq!(until_done(|| tree.measure(&dir, FAST)).await.directories, 1);
    if done(tree.rename(&dir, &trash).await).is_none() {
        // Its outcome is open: what exists is looked at.
        let moved = until_done(|| tree.kind(&trash)).await.is_some();
        let left = until_done(|| tree.kind(&dir)).await.is_some();
        assert!(moved != left);
        if left {
            // The server may still be away.
            let again = || async {
                match tree.rename(&dir, &trash).await {
                    Err(TreeError { cause: Cause::Exists | Cause::NotFound, .. }) => Ok(()),
                    other => other,
                }
            };
            until_done(again).await;
        }
    }
    assert_eq!(until_done(|| tree.kind(&trash)).await, Some(Kind::Directory));
    if n.is_multiple_of(2) {
        until_done(|| tree.remove_tree(&trash)).await;
    }
}

#[tokio::test]
async fn nothing_is_lost_by_a_server_that_dies_and_returns() {
    let filer = Filer::new();
    let config = ServerConfig { call_timeout: Duration::from_secs(1), ..filer.config() };
    let tree = NfsV3::new(config);
    let Filer { mut server, _dir: dir } = filer;
    let killer = thread::spawn(move || {
        // The long ones are longer than a call is repeated.
        for away in [0, 300, 3000, 0, 1000, 2500, 0, 0, 200] {
            thread::sleep(Duration::from_millis(350));
            server.kill();
            thread::sleep(Duration::from_millis(away));
            server.start_again();
        }
        server
    });
    let mut lives = 0;
    while !killer.is_finished() {
        live(&tree, lives).await;
        lives += 1;
    }
    let server = killer.join().unwrap();
    assert!(lives > 20, "only {lives} directories lived: too few to prove anything");
    let mut names: Vec<String> =
        tree.list("").await.unwrap().into_iter().map(|entry| entry.name).collect();
    let mut wanted: Vec<String> =
        (0..lives).filter(|n| !n.is_multiple_of(2)).map(|n| format!("t{n}")).collect();
    names.sort();
    wanted.sort();
    assert_eq!(names, wanted);
    for n in (1..lives).step_by(2) {
        let file = server.export().join(format!("t{n}/f"));
        assert_eq!(fs::read_to_string(file).unwrap(), format!("d{n}"));
    }
    drop((server, dir));
}

#[tokio::test]
async fn a_dead_server_costs_no_processor_time() {
    let mut filer = Filer::new();
    let tree = filer.open();
    tree.make_dir("a", 0o700).await.unwrap();
    filer.server.kill();
    let (begun, used) = (Instant::now(), processor_time());
    let mut calls = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        let at = Instant::now();
        assert!(matches!(cause(tree.kind("a").await), Cause::Unreachable(_)));
        assert!(at.elapsed() < Duration::from_secs(3));
        calls += 1;
    }
    let used = processor_time() - used;
    assert!(used < Duration::from_millis(200), "{used:?} for {calls} calls");
    filer.server.start_again();
    assert_eq!(tree.kind("a").await.unwrap(), Some(Kind::Directory));
}

#[tokio::test]
async fn a_stopped_server_fails_all_within_the_deadline() {
    let filer = Filer::new();
    let tree = NfsV3::new(ServerConfig { call_timeout: short(), ..filer.config() });
    tree.make_dir("a", 0o700).await.unwrap();
    filer.server.stop();
    let (begun, used) = (Instant::now(), processor_time());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..50 {
        let tree = tree.clone();
        running.spawn(async move { tree.make_dir(&format!("d{n}"), 0o700).await });
    }
    for result in running.join_all().await {
        assert!(matches!(result.unwrap_err().cause, Cause::Unreachable(_)));
    }
    // Four wait for the deadline, and the others fail with them.
    assert!(begun.elapsed() < short() * 2, "{:?}", begun.elapsed());
    let at = Instant::now();
    assert!(matches!(cause(tree.probe().await), Cause::Unreachable(_)));
    assert!(at.elapsed() < short() * 2);
    let used = processor_time() - used;
    assert!(used < Duration::from_millis(300), "{used:?}");

    filer.server.cont();
    let names = tree.list("").await.unwrap();
    assert!(names.iter().any(|entry| entry.name == "a"));
}

#[tokio::test]
async fn fifty_that_never_reached_the_server_fail_together() {
    let filer = Filer::new();
    let tree = NfsV3::new(ServerConfig { call_timeout: short(), ..filer.config() });
    filer.server.stop();
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let tree = tree.clone();
        running.spawn(async move { tree.remove_tree("d").await });
    }
    for result in running.join_all().await {
        assert!(matches!(result.unwrap_err().cause, Cause::Unreachable(_)));
    }
    assert!(begun.elapsed() < short() * 2, "{:?}", begun.elapsed());
    filer.server.cont();
    assert_eq!(tree.remove_tree("d").await.unwrap(), Removed::default());
}

#[tokio::test]
async fn connections_that_the_server_closed_are_not_noticed() {
    let mut filer = Filer::new();
    let tree = filer.open();
    tree.make_dir("a", 0o700).await.unwrap();
    for n in 0..3 {
        filer.server.kill();
        filer.server.start_again();
        assert_eq!(tree.make_dir(&format!("b{n}"), 0o700).await.unwrap(), Made::New);
    }
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_repeated() {
    let filer = Filer::new();
    let config = ServerConfig { call_timeout: Duration::from_secs(1), ..filer.config() };
    let tree = NfsV3::new(config);
    for dir in 0..10 {
        fs::create_dir_all(filer.local(format!("t/d{dir}"))).unwrap();
        for n in 0..500 {
            put(filer.local(format!("t/d{dir}/{n}")), "x");
        }
    }
    let Filer { mut server, _dir: dir } = filer;
    let killer = thread::spawn(move || {
        for away in [0, 2000, 0, 300] {
            thread::sleep(Duration::from_millis(100));
            server.kill();
            thread::sleep(Duration::from_millis(away));
            server.start_again();
        }
        server
    });
    until_done(|| tree.remove_tree("t")).await;
    assert_eq!(until_done(|| tree.kind("t")).await, None);
    let server = killer.join().unwrap();
    assert!(!server.export().join("t").exists());
    drop((server, dir));
}
