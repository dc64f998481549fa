//! What is told of a shared volume: with the owner's real NFS server and real tunnels. The reaching node
//! gets as far as its kernel does: without an NFS client there, it tries for as long as the test takes.

use std::{
    fs,
    io::Write,
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    harness::until,
    nodes::{A, B, Cluster, Node, text},
};

/// What a node says of a volume's ways on a node.
fn ways(asked: &Node, of: &Node) -> Value {
    let nodes = asked.whereabouts("site")["nodes"].clone();
    let found = nodes.as_array().unwrap().iter().find(|node| node["node"] == *of.name);
    found.map(|node| node["presence"]["ways"].clone()).unwrap_or_default()
}

/// The page, as `curl --unix-socket` gets it.
fn metrics(node: &Node) -> String {
    let mut socket = UnixStream::connect(node.path("admin.sock")).unwrap();
    socket
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: hawser\r\nConnection: close\r\n\r\n")
        .unwrap();
    std::io::read_to_string(socket).unwrap()
}

#[track_caller]
fn assert_has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|found| found == *line), "{line} is not in\n{page}");
    }
}

/// The files of the volume's NFS server.
fn server_dir(node: &Node) -> PathBuf {
    let id = text(&node.inspect("site")["id"]);
    node.path("share").join(id)
}

fn server_pid(node: &Node) -> Option<Pid> {
    let pid = fs::read_to_string(server_dir(node).join("pid")).ok()?;
    Pid::from_raw(pid.trim().parse().ok()?)
}

/// A task that ended is followed by its node's leaving, which the store tells the others.
#[track_caller]
fn until_used_by_none(asked: &Node) {
    until("no node uses it", || asked.whereabouts("site")["users"] == json!([]));
}

/// The first node has the volume mounted; the second one dies when it has said that it will use it, and so is
/// a user until it is back and its task has ended.
fn dies_as_user(cluster: &mut Cluster) {
    cluster[B].environment.insert("HAWSER_FAULT".into(), "connect.before:1".into());
    cluster.start();
    let path = cluster[A].mount("name=site,size=1GiB,shared=true", "a");
    fs::write(path.join("file"), "precious").unwrap();
    cluster.until_known(B, "site");
    assert_eq!(ways(&cluster[A], &cluster[A]), json!({}), "nobody needs a server yet");
    let mount = json!({ "Name": "site", "ID": "b" });
    let died = cluster[B].try_call("VolumeDriver.Mount", &mount).expect_err("n2 was to die");
    println!("n2: {died}");
    until("n2 is dead", || cluster[B].has_died());
    cluster[B].environment.clear();
}

#[test]
fn where_inspect_metrics_and_doctor_tell_how_a_volume_is_shared() {
    let mut cluster = Cluster::on_hosts(2);
    dies_as_user(&mut cluster);

    // The owner.
    let server = |state: &str| ways(&cluster[A], &cluster[A])["serves"]["server"] == state;
    until("n1 serves it", || server("answers"));
    let page = metrics(&cluster[A]);
    assert_has(
        &page,
        &[
            r#"hawser_share_server_up{volume="site"} 1"#,
            r#"hawser_share_users{volume="site"} 1"#,
            r#"hawser_tunnel_connections{side="serves",state="open",volume="site"} 0"#,
            "hawser_tunnel_up 1",
            "hawser_tunnel_failures 0",
            r#"hawser_volumes{state="mounted"} 1"#,
        ],
    );
    let status =
        cluster[A].call("Get", &json!({ "Name": "site" })).ok()["Volume"]["Status"].clone();
    assert_eq!(
        (&status["reach"], &status["sharing"]["serves"]["server"]),
        (&json!("direct"), &json!("answers"))
    );
    let first = server_pid(&cluster[A]).unwrap();
    kill_process(first, Signal::STOP).unwrap();
    until("its silence is seen", || server("silent"));
    kill_process(first, Signal::CONT).unwrap();
    until("it answers again", || server("answers"));
    kill_process(first, Signal::KILL).unwrap();
    until("it is started again", || {
        server_pid(&cluster[A]).is_some_and(|pid| pid != first) && server("answers")
    });

    // The other node.
    cluster[B].start();
    cluster.until_all_live();
    until("n2 has asked n1's server something", || {
        let reaches = ways(&cluster[A], &cluster[B])["reaches"].clone();
        reaches["through"] == "n1" && reaches["tunnel"]["opened"].as_u64() > Some(0)
    });
    let said = cluster[A].hawser(["volume", "where", "site"]);
    for words in [
        "Tasks on n2 reach it through n1",
        "direct",
        "remote through n1",
        "serves it: its NFS server answers",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    let said = cluster[B].hawser(["volume", "inspect", "site"]);
    assert!(said.contains("reaches it:") && said.contains("through n1"), "{said}");
    let page = metrics(&cluster[B]);
    let mounted = page
        .lines()
        .any(|line| line.starts_with("hawser_share_mounted{owner=\"n1\",volume=\"site\"}"));
    let received = r#"hawser_tunnel_received_bytes_total{side="reaches",volume="site"} "#;
    let received = page.lines().find_map(|line| line.strip_prefix(received)?.parse::<u64>().ok());
    assert!(mounted && received > Some(0), "{page}");
    let doctor = String::from_utf8(cluster[B].cli(["doctor"]).stdout).unwrap();
    for words in
        ["NFS-Ganesha is there", "the tunnel of n1 is reached", "of this node's, and 1 of others"]
    {
        assert!(doctor.contains(words), "{words} is not in\n{doctor}");
    }

    cluster[B].unmount("site", "b");
    until_used_by_none(&cluster[A]);
    cluster[A].unmount("site", "a");
    until("it is served no more", || ways(&cluster[A], &cluster[A]) == json!({}));
    cluster[A].remove("site");
    cluster.until_nothing_is_left();
}

#[test]
fn a_volume_goes_to_the_one_node_that_uses_it_where_that_is_configured() {
    let mut cluster = Cluster::on_hosts(2);
    cluster[A].set("sharing.move_after", "2s");
    dies_as_user(&mut cluster);
    cluster[B].start();
    cluster.until_all_live();
    until("n1 serves it", || ways(&cluster[A], &cluster[A])["serves"]["server"] == "answers");
    assert_eq!(cluster[A].owner_of("site"), "n1", "it was taken from under a task");

    let begun = Instant::now();
    cluster[A].unmount("site", "a");

    until("n2 has it", || cluster[B].owner_of("site") == "n2");
    assert!(begun.elapsed() >= Duration::from_secs(2), "it went at once");
    // Where n2 had not reached it before, it mounts the file system itself.
    let path = cluster[B].mount_at_last("site", "b");
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "precious");
    assert_eq!(cluster[A].logged(["given to the node that alone uses it", "to=\"n2\""]), 1);
    for _ in 0..2 {
        cluster[B].unmount("site", "b");
    }
    until_used_by_none(&cluster[A]);
    cluster[A].remove("site");
    cluster.until_nothing_is_left();
}

/// It would ask for the volume to be taken back, and get it again, without end.
#[test]
fn a_volume_does_not_go_to_its_one_user_where_that_node_shares_nothing() {
    let mut cluster = Cluster::on_hosts(2);
    cluster[A].set("sharing.move_after", "2s");
    dies_as_user(&mut cluster);
    let table = cluster[B].path("tunnel.json");
    let _ = fs::remove_file(&table);
    fs::create_dir(&table).unwrap();
    cluster[B].start();
    cluster.until_all_live();
    let says_so = |node: &Value| node["name"] == "n2" && node["serves"] == json!([]);
    until("n2 says that it serves nothing", || cluster[A].nodes().iter().any(says_so));
    cluster[A].unmount("site", "a");
    thread::sleep(Duration::from_secs(6));
    assert_eq!(cluster[A].owner_of("site"), "n1");
    assert_eq!(cluster[A].logged(["given to the node that alone uses it"]), 0);
}
