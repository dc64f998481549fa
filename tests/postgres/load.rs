//! Clients that insert numbered rows, one commit each, and remember what was acknowledged.
//!
//! Each client is a psql that reads one statement at a time. It prints a row's number only when the
//! server has said that the statement is complete, which is after its commit is durable.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    database::Database,
    harness::{PATIENCE, eventually},
};

/// What a row holds beside its number: half a kilobyte that tells a torn row.
pub(crate) fn payload(n: &str) -> String {
    format!("repeat(md5(({n})::text), 16)")
}

/// Clients at work.
pub(crate) struct Load {
    clients: Vec<JoinHandle<Vec<u64>>>,
    acknowledged: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Load {
    /// Starts clients, whose numbers go on after those in the table.
    #[track_caller]
    pub(crate) fn start(database: &Database, clients: u32) -> Self {
        let first = database.query("SELECT coalesce(max(n), 0) + 1 FROM rows");
        let first: u64 = first.parse().unwrap();
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(AtomicBool::new(false));
        let start = |client: u32| {
            let mut psql = database.client();
            psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let psql = psql.spawn().expect("psql runs");
            let numbers = (first + u64::from(client)..).step_by(clients as usize);
            let (acknowledged, ended) = (Arc::clone(&acknowledged), Arc::clone(&ended));
            thread::spawn(move || insert(psql, numbers, &acknowledged, &ended))
        };
        let clients = (0..clients).map(start).collect();
        Self { clients, acknowledged, ended }
    }

    /// Waits until so many more rows are acknowledged.
    #[track_caller]
    pub(crate) fn wait_for(&self, more: usize) {
        let goal = self.acknowledged.load(Ordering::SeqCst) + more;
        eventually("the database takes rows", PATIENCE, || {
            assert!(!self.ended.load(Ordering::SeqCst), "a client lost its server");
            self.acknowledged.load(Ordering::SeqCst) >= goal
        });
    }

    /// Once the server is gone: every row that was acknowledged.
    #[track_caller]
    pub(crate) fn finish(self) -> BTreeSet<u64> {
        let rows = self.clients.into_iter().map(|client| client.join().expect("a client panicked"));
        rows.flatten().collect()
    }
}

/// Inserts until the server goes away: the acknowledged numbers.
fn insert(
    mut psql: Child,
    numbers: impl Iterator<Item = u64>,
    acknowledged: &AtomicUsize,
    ended: &AtomicBool,
) -> Vec<u64> {
    let mut statements = psql.stdin.take().expect("it is a pipe");
    let mut answers = BufReader::new(psql.stdout.take().expect("it is a pipe")).lines();
    let mut done = Vec::new();
    for n in numbers {
        let row = payload(&n.to_string());
        let sent = writeln!(statements, "INSERT INTO rows VALUES ({n}, {row}) RETURNING n;");
        match (sent, answers.next()) {
            (Ok(()), Some(Ok(answer))) => assert_eq!(answer, n.to_string()),
            (Ok(()) | Err(_), _) => break,
        }
        done.push(n);
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    ended.store(true, Ordering::SeqCst);
    drop(statements);
    let _ = psql.wait();
    done
}
