//! What can be chosen of a shared volume: whether root is squashed, and whether it goes to its one user;
//! and what is told of it while it is reached by a real kernel.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{A, B, C, World, row};
use crate::harness::eventually;

/// The disk's way, the server's start and its grace period, on emulated processors.
const RECOVERY: Duration = Duration::from_secs(200);

impl World {
    /// How a node shares the volume, as another one tells it.
    fn ways(&self, node: &str) -> Value {
        let nodes = self.whereabouts(C, "chosen")["nodes"].clone();
        let found = nodes.as_array().into_iter().flatten().find(|it| it["node"] == node);
        found.map(|it| it["presence"]["ways"].clone()).unwrap_or_default()
    }

    /// What is mounted at the published path, as the kernel calls the file system.
    #[track_caller]
    fn file_system(&self, node: usize, path: &str) -> String {
        self.nodes[node].sh_with("findmnt -no FSTYPE $1", &[path]).ok()
    }
}

#[test]
#[ignore = "a part of `make lab`"]
fn root_is_squashed_as_asked_and_a_volume_goes_to_its_one_user_as_configured() {
    let world = World::prepare("cluster-chosen");
    let World { lab, nodes, .. } = &world;
    lab.step("hawser starts on three machines, with sharing.move_after");
    for node in nodes {
        node.set("HAWSER_SHARING_MOVE_AFTER", "5s");
        node.set("HAWSER_SHARING_LEASE", "6s");
    }
    world.join(&[A, B, C]);
    world.wait_alive(A, 3);

    lab.step("squash=root: root of another node is nobody, root of the owner is root");
    world.create(A, "chosen", json!({"shared": "true", "squash": "root"}));
    let of_a = nodes[A].mount_volume("chosen", "a");
    let of_b = nodes[B].mounted(&nodes[B].begin_mount("chosen", "b"));
    let refused = nodes[B].sh_with("touch $1/by-root", &[&of_b]);
    assert!(refused.code != 0 && refused.stderr.contains("Permission denied"), "{refused}");
    nodes[A].sh_with("touch $1/by-root; mkdir -m 1777 $1/everybodys", &[&of_a]).ok();
    let user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];
    let task = |user: &[&str], file: &str| {
        let command = ["touch", file];
        nodes[B].run(&[&["/lab/task.sh", &*of_b], user, &command[..]].concat()).ok();
    };
    task(&[], "/mnt/data/everybodys/by-root");
    task(&user, "/mnt/data/everybodys/by-1000");
    let owners = "cd $1; stat -c %u:%g by-root everybodys/by-root everybodys/by-1000";
    let owners = nodes[A].sh_with(owners, &[&of_a]).ok();
    let owners: Vec<_> = owners.split_whitespace().collect();
    assert_eq!(owners, ["0:0", "65534:65534", "1000:1000"]);

    lab.step("a volume that is one user's alone is mounted for that user elsewhere");
    let private = json!({"shared": "true", "squash": "root", "uid": "1000", "mode": "0700"});
    world.create(A, "private", private);
    nodes[A].mount_volume("private", "a");
    let path = nodes[B].mounted(&nodes[B].begin_mount("private", "b"));
    let touch = ["touch", "/mnt/data/file"];
    nodes[B].run(&[&["/lab/task.sh", &*path], &user[..], &touch[..]].concat()).ok();
    let refused = nodes[B].run(&[&["/lab/task.sh", &*path], &touch[..]].concat());
    assert!(refused.code != 0 && refused.stderr.contains("Permission denied"), "{refused}");
    for node in [B, A] {
        nodes[node].unmount_volume("private", ["a", "b"][node]);
    }

    lab.step(
        "a task that has it read-only elsewhere sees what the owner's writes, and writes nothing",
    );
    nodes[A].sh_with("echo news >$1/everybodys/news", &[&of_a]).ok();
    let only = "mount -o remount,bind,ro /mnt/data && cat /mnt/data/everybodys/news && touch /mnt/data/everybodys/news";
    let read = nodes[B].run(&["/lab/task.sh", &of_b, "/bin/sh", "-c", only]);
    assert_eq!((read.code != 0, read.stdout.trim()), (true, "news"), "{read}");
    assert!(read.stderr.contains("Read-only file system"), "{read}");

    lab.step("it is told how it is reached");
    assert_eq!(world.ways("a")["serves"]["server"], "answers");
    let reaches = world.ways("b")["reaches"].clone();
    assert_eq!((&reaches["through"], &reaches["mounted"]), (&json!("a"), &json!(true)));
    assert!(reaches["tunnel"]["sent"].as_u64() > Some(1000), "{reaches}");
    let said = nodes[C].hawser(&["volume", "where", "chosen"]).ok();
    eprintln!("{said}");
    assert!(said.contains("remote through a") && said.contains("b: reaches it:"), "{said}");
    let metrics = "curl -sf --unix-socket /run/hawser/admin.sock http://hawser/metrics";
    let page = nodes[B].sh(metrics).ok();
    for line in [
        r#"hawser_share_mounted{owner="a",volume="chosen"} 1"#,
        r#"hawser_tunnel_connections{side="reaches",state="open",volume="chosen"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    let conf = nodes[A].sh("cat /run/hawser/share/*/ganesha.conf").ok();
    assert!(conf.contains("Lease_Lifetime = 6;") && conf.contains("Grace_Period = 10;"), "{conf}");

    lab.step("the owner's last task ends: the volume goes to the one node that uses it");
    let files = ["/lab/share-task.py", "files", "/mnt/data/everybodys", "files"];
    let job = nodes[B].spawn(&[&["/lab/task.sh", &*of_b], &files[..]].concat());
    nodes[B].wait_acknowledged("files", 5);
    nodes[A].unmount_volume("chosen", "a");
    let begun = Instant::now();
    eventually("b has it", RECOVERY, || world.whereabouts(C, "chosen")["owner"] == "b");
    assert!(begun.elapsed() >= Duration::from_secs(5), "it went at once");
    let before = nodes[B].acknowledged("files").last;
    eventually("the task goes on", RECOVERY, || nodes[B].acknowledged("files").last > before + 3);
    let pause = nodes[B].acknowledged("files").longest.as_secs_f32();
    row("shared: goes to its one user", "a pause, and no error", &format!("{pause:.1} s"), "-");
    assert_eq!(world.file_system(B, &of_b), "nfs4", "it was exchanged under a task");
    let ways = world.ways("b");
    assert_eq!(
        (&ways["serves"]["server"], &ways["reaches"]["through"]),
        (&json!("answers"), &json!("b"))
    );

    lab.step("the next task there uses the file system itself");
    nodes[B].kill(&job);
    let last = nodes[B].acknowledged("files").last;
    nodes[B].unmount_volume("chosen", "b");
    eventually("nothing is left of the way", RECOVERY, || world.ways("b")["reaches"].is_null());
    let of_b = nodes[B].mounted(&nodes[B].begin_mount("chosen", "b2"));
    assert_eq!(world.file_system(B, &of_b), "xfs");
    let verify = ["/lab/share-task.py", "verify"];
    let of_task = [&*format!("{of_b}/everybodys"), "files", &last.to_string()].map(str::to_owned);
    let of_task: Vec<_> = of_task.iter().map(String::as_str).collect();
    let missing = nodes[B].run(&[&verify[..], &of_task].concat()).ok();
    assert_eq!(missing.trim(), "missing", "an acknowledged file is lost");
    nodes[B].unmount_volume("chosen", "b2");
}
