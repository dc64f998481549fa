//! Sharing: whether this node can own shared volumes, reach those of others, and be reached.
//!
//! What is missing is a note, not a problem: a cluster without shared volumes needs none of it.

use std::{io::ErrorKind, path::Path};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{Client as Daemon, Finding, SOON, good, note, problem};
use crate::{
    config::Config,
    engine::NodeRow,
    share::tunnel::{Status, process::Tunnel},
    sys::{
        caps,
        nfs::{Client, look},
        process::Tool,
    },
    volume::NodeName,
};

const SUBJECT: &str = "sharing";
const GANESHA: Tool = Tool::new("ganesha.nfsd");

/// What this node has for it, and which other nodes it reaches. Nothing where it is in no cluster.
pub(super) async fn findings(config: &Config, admin_socket: &Path) -> Vec<Finding> {
    if config.cluster.is_none() {
        return Vec::new();
    }
    let mut findings = vec![server(GANESHA.find().is_some()), client(look().await)];
    findings.extend((!caps::has_sys_resource()).then(unprotected));
    let tunnel = Tunnel::of(config.run_dir(), String::new());
    if let Ok(Ok(status)) = timeout(SOON, tunnel.status()).await {
        findings.extend(of_tunnel(&status));
    }
    findings.extend(ways(admin_socket).await);
    findings
}

fn server(present: bool) -> Finding {
    if present {
        return good(SUBJECT, "NFS-Ganesha is there: this node can own shared volumes");
    }
    note(
        SUBJECT,
        "this node cannot own shared volumes: install nfs-ganesha and nfs-ganesha-vfs, version 4 or later",
    )
}

fn client(client: Client) -> Finding {
    match client {
        Client::Present => {
            good(SUBJECT, "the kernel has an NFS client: this node can reach shared volumes")
        }
        Client::Loadable => {
            good(SUBJECT, "the kernel's NFS client is loaded when a shared volume is first reached")
        }
        Client::Absent => note(
            SUBJECT,
            "this node cannot reach the shared volumes of others: its kernel has no NFS client (CONFIG_NFS_FS), or its module is not seen from here; `modprobe nfs`, or install the package with the kernel's modules",
        ),
    }
}

fn unprotected() -> Finding {
    note(
        SUBJECT,
        "CAP_SYS_RESOURCE is missing: tunnel and NFS servers are not kept apart from write-back, nor killed last, when memory is short",
    )
}

/// What runs says what it got, whatever this command may.
fn of_tunnel(status: &Status) -> Vec<Finding> {
    let Status { pid, version, protection, failures, .. } = status;
    let lacks = [
        (protection.locked, "CAP_IPC_LOCK: its memory may be paged out"),
        (protection.io_flusher, "CAP_SYS_RESOURCE: it may wait for its own write-back"),
        (protection.oom, "CAP_SYS_RESOURCE: it is not among the last to be killed"),
    ];
    let mut findings: Vec<_> = failures
        .iter()
        .map(|why| problem(SUBJECT, format!("the tunnel (pid {pid}): {why}")))
        .collect();
    findings.extend(lacks.iter().filter(|(has, _)| !has).map(|(_, lack)| {
        note(SUBJECT, format!("the tunnel (pid {pid}) runs without {lack}, when memory is short"))
    }));
    if failures.is_empty() {
        let (serves, reaches) = (status.exports.len(), status.remotes.len());
        let detail = format!(
            "the tunnel (pid {pid}, hawser {version}) carries {serves} volumes of this node's, and {reaches} of others"
        );
        findings.push(good(SUBJECT, detail));
    }
    findings
}

/// Whether the ports of the other nodes' tunnels are reached from here.
async fn ways(admin_socket: &Path) -> Vec<Finding> {
    // Where the daemon does not answer, that is said elsewhere.
    let nodes = Daemon::new(admin_socket.into()).get::<Vec<NodeRow>>("/nodes").await;
    let mut asked = JoinSet::new();
    for row in nodes.unwrap_or_default().into_iter().filter(|row| row.alive && !row.here) {
        let Some(address) = row.info.tunnel else { continue };
        let node = row.info.name;
        asked.spawn(async move {
            let answer = match timeout(SOON, TcpStream::connect(&address)).await {
                Ok(answer) => answer.map(drop).map_err(|error| (error.kind(), error.to_string())),
                Err(_) => Err((ErrorKind::TimedOut, format!("no answer in {} s", SOON.as_secs()))),
            };
            (node, address, answer)
        });
    }
    let mut ways = asked.join_all().await;
    ways.sort();
    ways.into_iter().map(|(node, address, answer)| way(&node, &address, answer)).collect()
}

fn way(node: &NodeName, address: &str, answer: Result<(), (ErrorKind, String)>) -> Finding {
    match answer {
        Ok(()) => good(SUBJECT, format!("the tunnel of {node} is reached ({address})")),
        Err((ErrorKind::ConnectionRefused, _)) => note(
            SUBJECT,
            format!(
                "no tunnel of {node} listens on {address}: it is started with the first volume that {node} shares; if {node} shares one, look at hawser there"
            ),
        ),
        Err((_, why)) => problem(
            SUBJECT,
            format!(
                "the tunnel of {node} is not reached ({address}): {why}: open that port between the nodes (peer.tunnel_listen), or correct peer.address there"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        for (finding, words) in [
            (server(false), "install nfs-ganesha"),
            (client(Client::Absent), "modprobe nfs"),
            (unprotected(), "CAP_SYS_RESOURCE"),
        ] {
            assert_eq!(finding.verdict, Verdict::Note);
            assert!(finding.detail.contains(words), "{}", finding.detail);
        }
        assert_eq!(server(true).verdict, Verdict::Good);
        assert_eq!(client(Client::Loadable).verdict, Verdict::Good);
    }

    #[test]
    fn a_port_that_is_closed_is_a_problem_and_a_tunnel_that_nobody_needed_yet_is_none() {
        let node = "n2".parse().unwrap();
        let verdict = |answer| way(&node, "h:7421", answer).verdict;

        assert_eq!(verdict(Ok(())), Verdict::Good);
        assert_eq!(verdict(Err((ErrorKind::ConnectionRefused, String::new()))), Verdict::Note);
        assert_eq!(verdict(Err((ErrorKind::TimedOut, String::new()))), Verdict::Problem);
    }

    #[test]
    fn a_tunnel_says_what_it_lacks_and_what_failed() {
        let status = |locked: bool, failures: &str| {
            let json = format!(
                r#"{{"pid": 7, "version": "0", "table_version": 1,
                "started_at": "2026-01-02T03:04:05Z", "strangers": 0, "exports": [], "remotes": [],
                "protection": {{"locked": {locked}, "io_flusher": true, "oom": true}},
                "failures": {failures}}}"#
            );
            of_tunnel(&serde_json::from_str(&json).unwrap())
        };

        let [well] = status(true, "[]").try_into().unwrap();
        assert_eq!(well.verdict, Verdict::Good);
        let [failed, lacks] = status(false, r#"["port 7421 is taken"]"#).try_into().unwrap();
        assert_eq!((failed.verdict, lacks.verdict), (Verdict::Problem, Verdict::Note));
        assert!(failed.detail.contains("port 7421 is taken"), "{}", failed.detail);
        assert!(lacks.detail.contains("CAP_IPC_LOCK"), "{}", lacks.detail);
    }
}
