//! Control groups, which runc needs, on a machine without an init that mounts them.
//!
//! Nothing is done where any hierarchy is mounted. What is mounted here stays: other tests use it.

use std::{fs, path::Path};

use super::run;

const ROOT: &str = "/sys/fs/cgroup";

/// Mounts the hierarchies if there are none. Call it under the harness's lock.
pub(crate) fn ensure_mounted() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo is readable");
    if mounts.contains(" - cgroup ") || mounts.contains(" - cgroup2 ") {
        return;
    }
    let controllers = controllers();
    if controllers.is_empty() {
        mount("cgroup2", "rw", ROOT);
        return;
    }
    mount("tmpfs", "mode=755", ROOT);
    for controller in controllers {
        let directory = format!("{ROOT}/{controller}");
        fs::create_dir_all(&directory).expect("the tmpfs was just mounted");
        mount("cgroup", &controller, &directory);
    }
}

/// The controllers of version 1 that this kernel has enabled.
fn controllers() -> Vec<String> {
    let table = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let rows = table.lines().filter(|row| !row.starts_with('#'));
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.last() == Some(&"1"))
        .map(|row| row[0].to_owned())
        .collect()
}

fn mount(kind: &str, options: &str, target: &str) {
    run(Path::new("mount"), &["-t", kind, "-o", options, kind, target], &[]).ok();
}
