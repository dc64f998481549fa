//! Tasks on one shared EBS volume, on several machines: started, waited for, and judged afterwards.

use std::time::{Duration, Instant};

use super::{NAMES, World};
use crate::harness::{Job, PATIENCE, eventually};

/// The fence, the disk's way, the server's start and its grace period, on emulated processors.
pub(super) const RECOVERY: Duration = Duration::from_secs(200);

/// A task of one node: what it acknowledges under its tag.
pub(super) struct Shared {
    pub(super) node: usize,
    pub(super) tag: String,
    pub(super) job: Job,
}

impl World {
    /// Mounts a shared volume for a task of this node: its path.
    #[track_caller]
    pub(super) fn mount_shared(&self, node: usize, id: &str) -> String {
        let machine = &self.nodes[node];
        machine.mounted(&machine.begin_mount("shared", id))
    }

    /// A task in a mount namespace, as a container has it: `mode` is one of share-task.py.
    #[track_caller]
    pub(super) fn share_task(&self, node: usize, path: &str, mode: &str, file: &str) -> Shared {
        let at = format!("/mnt/data{file}");
        let number = self.tasks.get() + 1;
        self.tasks.set(number);
        let tag = format!("{mode}{number}");
        let task = ["/lab/task.sh", path, "/lab/share-task.py", mode, &at, &tag];
        let job = self.nodes[node].spawn(&task);
        Shared { node, tag, job }
    }

    /// The last step that a task has acknowledged; it must not have failed.
    #[track_caller]
    pub(super) fn last_of(&self, task: &Shared) -> u64 {
        self.nodes[task.node].acknowledged(&task.tag).last
    }

    /// What is mounted at the published path, as the kernel calls the file system.
    #[track_caller]
    pub(super) fn kind(&self, node: usize, path: &str) -> String {
        self.nodes[node].sh_with("findmnt -no FSTYPE $1", &[path]).ok()
    }

    /// Has a task keep it, as long as the machine runs: what no namespace has is taken away some minutes after
    /// the caller, which is no engine here, is gone.
    #[track_caller]
    pub(super) fn keep(&self, node: usize, path: &str) {
        self.nodes[node].spawn(&["/lab/task.sh", path, "/bin/sleep", "86400"]);
    }

    /// The nodes that reach the volume, as this one knows.
    #[track_caller]
    pub(super) fn users(&self, node: usize) -> Vec<String> {
        let found = self.whereabouts(node, "shared")["users"].clone();
        found.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect()
    }

    /// Each of them goes on by so many steps.
    #[track_caller]
    pub(super) fn all_go_on(&self, tasks: &[&Shared], count: u64) {
        let ends: Vec<_> = tasks.iter().map(|task| self.last_of(task) + count).collect();
        for (task, end) in tasks.iter().zip(ends) {
            self.nodes[task.node].wait_acknowledged(&task.tag, end);
        }
    }

    /// Waits until each of them has gone on after a fault that began then; how long after it that was.
    #[track_caller]
    pub(super) fn pause(&self, since: Instant, tasks: &[&Shared]) -> Duration {
        let before: Vec<_> = tasks.iter().map(|task| self.last_of(task)).collect();
        eventually("the tasks go on", RECOVERY, || {
            tasks.iter().zip(&before).all(|(task, before)| self.last_of(task) > before + 1)
        });
        since.elapsed()
    }

    /// Everything that a `files` task has acknowledged is there, as another node sees it.
    #[track_caller]
    pub(super) fn files_are_there(&self, node: usize, path: &str, task: &Shared) {
        let last = self.last_of(task).to_string();
        let verify = ["/lab/share-task.py", "verify", path, &task.tag, &last];
        let missing = self.nodes[node].run(&verify).ok();
        assert_eq!(missing.trim(), "missing", "of {}, seen from {}", task.tag, NAMES[node]);
    }

    /// The node that owns it, as another one knows.
    #[track_caller]
    pub(super) fn owner(&self, asked: usize) -> usize {
        let found = self.whereabouts(asked, "shared");
        let owner = NAMES.iter().position(|name| found["owner"] == *name);
        owner.unwrap_or_else(|| panic!("nobody owns it: {found}"))
    }

    /// EC2 has it attached to one machine.
    #[track_caller]
    pub(super) fn assert_attached_once(&self) {
        let volumes = || self.cluster.cloud.volumes();
        eventually("it is attached to one machine", PATIENCE, || {
            volumes().iter().filter(|volume| volume.state == "in-use").count() == 1
        });
        self.cluster.witness.assert_one_attachment_at_a_time();
    }
}
