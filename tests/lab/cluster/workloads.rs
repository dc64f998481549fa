//! What tasks on three nodes see of each other's files on one shared volume: the owner's own on its file
//! system, the others by way of it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{A, B, C, NAMES, World};
use crate::harness::{Job, PATIENCE, eventually};

/// Three tasks that wait for each other, on emulated processors.
const WORK: Duration = Duration::from_secs(240);
/// For so long NFS clients may go on with what they knew of a directory.
const NAMES_KEPT: Duration = Duration::from_secs(75);

/// A shared volume, mounted on all three nodes; the first one is its owner.
pub(super) struct Everywhere {
    pub(super) world: World,
    pub(super) paths: [String; 3],
}

impl Everywhere {
    #[track_caller]
    pub(super) fn start(test: &str) -> Self {
        let world = World::prepare(test);
        world.lab.step("hawser starts on three machines");
        // A server that dies is not to wait for that.
        world.nodes[A].set("HAWSER_SWEEP", "60s");
        world.join(&[A, B, C]);
        world.wait_alive(A, 3);
        world.lab.step("a shared volume is mounted on all three");
        world.create(A, "shared", json!({"shared": "true"}));
        let paths = [A, B, C].map(|node| world.mount_shared(node, "task"));
        assert_eq!(world.kind(A, &paths[A]), "xfs", "no NFS for the owner's own tasks");
        for node in [B, C] {
            assert_eq!(world.kind(node, &paths[node]), "nfs4");
        }
        world.nodes[A].sh_with("chmod 1777 $1", &[&paths[A]]).ok();
        for node in [A, B, C] {
            world.keep(node, &paths[node]);
        }
        Self { world, paths }
    }

    /// Starts a program with the volume at /mnt/data, as in a container.
    #[track_caller]
    fn spawn(&self, node: usize, argv: &[&str]) -> Job {
        let task = ["/lab/task.sh", &*self.paths[node]];
        self.world.nodes[node].spawn(&[&task, argv].concat())
    }

    #[track_caller]
    fn wait(&self, node: usize, job: &Job) -> String {
        self.world.nodes[node].wait(job, WORK).ok()
    }

    /// The same to its end.
    #[track_caller]
    fn task(&self, node: usize, argv: &[&str]) -> String {
        self.wait(node, &self.spawn(node, argv))
    }

    #[track_caller]
    fn sh(&self, node: usize, script: &str) -> String {
        self.task(node, &["sh", "-ec", &format!("cd /mnt/data; {script}")])
    }

    /// A part of `workload.py`.
    #[track_caller]
    fn work(&self, node: usize, mode: &str, file: &str, rest: &[&str]) -> Job {
        let file = format!("/mnt/data/{file}");
        self.spawn(node, &[&["/lab/workload.py", mode, &file], rest].concat())
    }

    #[track_caller]
    fn look(&self, node: usize, file: &str) -> String {
        self.wait(node, &self.work(node, "look", file, &[]))
    }

    /// All of these nodes add to one number, under a lock.
    #[track_caller]
    fn count(&self, nodes: &[usize], kind: &str, times: u64) {
        let file = format!("counter-{kind}");
        let work =
            |node: &usize| (*node, self.work(*node, "count", &file, &[kind, &times.to_string()]));
        let jobs: Vec<_> = nodes.iter().map(work).collect();
        let others = jobs.iter().map(|(node, job)| self.wait(*node, job).parse::<u64>().unwrap());
        let others: u64 = others.sum();
        let total = times * nodes.len() as u64;
        eprintln!("           {kind}: {total} times, {others} of them after another node's task");
        assert!(others > total / 10, "they did not do it at the same time");
        for node in [A, B, C] {
            let found = self.sh(node, &format!("cut -d' ' -f1 {file}"));
            assert_eq!(found, total.to_string(), "{kind}, seen from {}", NAMES[node]);
        }
    }

    /// Whether a task of `tries` gets the lock that one of `holds` has.
    #[track_caller]
    fn tries(&self, kind: &str, holds: usize, tries: usize) -> String {
        let file = format!("/mnt/data/lock-{kind}-{holds}-{tries}");
        let holder = self.spawn(holds, &["/lab/lock.py", "hold", &file, kind]);
        let held = format!("test -e lock-{kind}-{holds}-{tries}.held && echo held || true");
        eventually("the lock is held", PATIENCE, || self.sh(holds, &held) == "held");
        let answer = self.task(tries, &["/lab/lock.py", "try", &file, kind]);
        self.world.nodes[holds].kill(&holder);
        answer
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn tasks_of_three_nodes_see_each_other_s_files_as_the_documents_say() {
    let all = Everywhere::start("cluster-workloads");
    contents(&all);
    attributes(&all);
    owners(&all);
    deleted_while_open(&all);
    names(&all);
    appends(&all);
    locks(&all);
}

fn locks(all: &Everywhere) {
    all.world.lab.step("a number that all three add to, under fcntl's lock, is exact");
    all.count(&[A, B, C], "fcntl", 40);
    all.world.lab.step("so it is under flock, on the nodes that are not the owner");
    all.count(&[B, C], "flock", 40);
    all.world
        .lab
        .step("files are locked and closed all the time, on the nodes that are not the owner");
    let work = |node| (node, all.work(node, "reopen", "reopened", &["fcntl", "150"]));
    for (node, job) in [B, C].map(work) {
        all.wait(node, &job);
    }
    // NFS-Ganesha 4.3 now and then dies of it, and is started again: docs/sharing.md, Limits.
    let died = all.world.nodes[A].said("ganesha.nfsd[");
    eprintln!("measured-share: the server died {died} times of locked files that were closed");
    all.world.lab.step("the server is killed, and soon back however rare the sweeps are");
    let started = || all.world.nodes[A].said("NFS server started");
    let (before, since) = (started(), Instant::now());
    all.world.nodes[A].sh("kill -KILL $(pidof ganesha.nfsd)").ok();
    eventually("it is started again", Duration::from_secs(20), || started() > before);
    eprintln!("measured-share: the next server was started after {:.1?}", since.elapsed());
    all.world.lab.step("who excludes whom");
    for (holds, tries) in [(A, B), (B, A), (B, C)] {
        let of = (NAMES[holds], NAMES[tries]);
        assert_eq!(all.tries("fcntl", holds, tries), "refused", "fcntl {of:?}");
        // The owner's own flock is the file system's, and the others' are fcntl locks there.
        let flock = if holds == A || tries == A { "taken" } else { "refused" };
        assert_eq!(all.tries("flock", holds, tries), flock, "flock {of:?}");
    }
}

fn appends(all: &Everywhere) {
    all.world.lab.step("lines that all three append under a lock are whole, and none is missing");
    let work = |node| (node, all.work(node, "append", "lines", &[NAMES[node], "30"]));
    for (node, job) in [A, B, C].map(work) {
        all.wait(node, &job);
    }
    for node in [A, B, C] {
        let job = all.work(node, "lines", "lines", &["30", "a", "b", "c"]);
        assert_eq!(all.wait(node, &job), "wrong:", "seen from {}", NAMES[node]);
    }
}

fn names(all: &Everywhere) {
    all.world.lab.step("a file is renamed on each in turn: the others find it by its new name");
    all.sh(A, "mkdir names; echo precious >names/0");
    let mut longest = Duration::ZERO;
    for round in 1..=3_usize {
        let (renames, new, old) = (round % 3, round % 2, (round + 1) % 2);
        all.sh(renames, &format!("mv names/{old} names/{new}"));
        let since = Instant::now();
        for node in [A, B, C] {
            let look =
                format!("(cat names/{new} || echo no; ! cat names/{old}) 2>/dev/null || echo old");
            eventually("it has its new name", NAMES_KEPT, || all.sh(node, &look) == "precious");
            let took = since.elapsed();
            eprintln!(
                "           {} renames, {} sees it after {took:.1?}",
                NAMES[renames], NAMES[node]
            );
            longest = longest.max(took);
        }
    }
    eprintln!("measured-share: a rename was seen elsewhere after {longest:.1?} at the longest");
}

fn contents(all: &Everywhere) {
    all.world
        .lab
        .step("what one writes by a mapping, or past its cache, the others read when they open it");
    all.sh(A, "head -c 12288 /dev/zero >pages");
    for node in [A, B, C] {
        all.look(node, "pages");
    }
    for mode in ["mapped", "direct"] {
        for writer in [A, B, C] {
            let word = format!("{mode}-{}", NAMES[writer]);
            all.wait(writer, &all.work(writer, mode, "pages", &[&word]));
            for reader in [A, B, C] {
                let found = all.look(reader, "pages");
                let expected = format!("12288 644 0:0 1 {word} {word}");
                assert_eq!(found, expected, "{mode}: {} after {}", NAMES[reader], NAMES[writer]);
            }
        }
    }
}

fn attributes(all: &Everywhere) {
    all.world.lab.step("size, mode, owner, links and marks that one changes the others see when they open the file");
    all.sh(A, "printf content >file");
    let mark = |node, value| all.wait(node, &all.work(node, "mark", "file", &[value]));
    let said = mark(B, "b");
    eprintln!("           an extended attribute, elsewhere: {said}");
    let changes = [
        (A, "truncate -s 5 file", "5 644 0:0 1 conte"),
        (B, "truncate -s 3 file", "3 644 0:0 1 con"),
        (B, "chmod 640 file", "3 640 0:0 1 con"),
        (A, "chmod 600 file", "3 600 0:0 1 con"),
        (C, "chown 1234:4321 file", "3 600 1234:4321 1 con"),
        (A, "chown 0:4321 file", "3 600 0:4321 1 con"),
        (A, "ln file hard", "3 600 0:4321 2 con"),
        (C, "ln file harder", "3 600 0:4321 3 con"),
        (B, "rm hard", "3 600 0:4321 2 con"),
        (B, "ln -s file soft", "3 600 0:4321 2 con"),
    ];
    for (node, script, expected) in changes {
        all.sh(node, script);
        for reader in [A, B, C] {
            let found = all.look(reader, "file");
            assert!(
                found.starts_with(expected),
                "{script} on {}, {}: {found}",
                NAMES[node],
                NAMES[reader]
            );
        }
    }
    for node in [A, B, C] {
        assert_eq!(all.sh(node, "readlink soft; cat soft"), "file\ncon");
    }
}

fn owners(all: &Everywhere) {
    all.world.lab.step("user and group are those of the task, on every node");
    all.sh(A, "mkdir -m 1777 people");
    let as_user = |node, user: &str, script: &str| {
        let all_of = format!("--reuid={user}");
        let task = ["setpriv", &all_of, "--regid=4321", "--clear-groups", "sh", "-c", script];
        all.task(node, &task)
    };
    for maker in [A, B, C] {
        let file = format!("/mnt/data/people/{}", NAMES[maker]);
        as_user(maker, "1234", &format!("umask 077; echo own >{file}"));
        for node in [A, B, C] {
            let found = all.task(node, &["stat", "-c", "%u:%g %a", &file]);
            assert_eq!(found, "1234:4321 600", "{} sees {file}", NAMES[node]);
            let read = format!("cat {file} 2>/dev/null || echo refused");
            assert_eq!(as_user(node, "1234", &read), "own", "{} reads {file}", NAMES[node]);
            assert_eq!(as_user(node, "1235", &read), "refused", "{} reads {file}", NAMES[node]);
        }
    }
}

/// What a task may go on with, on one node, when its open file is deleted on another.
fn deleted_while_open(all: &Everywhere) {
    all.world.lab.step("a file is deleted while a task elsewhere has it open");
    let nodes = &all.world.nodes;
    let cases = [(A, C), (B, A), (B, B), (C, B)];
    let file =
        |(opens, deletes): (usize, usize)| format!("open-{}-{}", NAMES[opens], NAMES[deletes]);
    let jobs = cases.map(|case| {
        all.sh(A, &format!("yes content | head -n 8192 >{}", file(case)));
        all.work(case.0, "held", &file(case), &[])
    });
    for case in cases {
        let held = format!("test -e /run/held.{} && echo held || true", file(case));
        eventually("it is open", PATIENCE, || nodes[case.0].sh(&held).ok() == "held");
    }
    for case in cases {
        all.sh(case.1, &format!("rm {}", file(case)));
    }
    for node in nodes {
        node.sh("touch /run/go").ok();
    }
    for (case, job) in cases.iter().zip(&jobs) {
        let (opens, deletes) = (NAMES[case.0], NAMES[case.1]);
        let found = all.wait(case.0, job);
        eprintln!("           open on {opens}, deleted on {deletes}: {found}");
        // Ganesha looks a file up by its handle for that, also one that it has open.
        let stale = case.0 != A && case.1 != case.0 && found == "read=ok write=ok stat=ESTALE";
        let well = stale || found == "read=ok write=ok stat=ok";
        assert!(well, "open on {opens}, deleted on {deletes}: {found}");
    }
    assert_eq!(all.sh(A, "ls -A | grep -e open -e nfs || true"), "", "nothing is left behind");
}
