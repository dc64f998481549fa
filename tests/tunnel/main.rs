//! The tunnel as the process that it is: `hawser tunnel`, started by the daemon's own code, killed, found
//! again, replaced. Certificates are made by `hawser pki`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test runs programs, writes scratch files, and fails by panicking"
)]

mod bursts;
mod memory;
mod node;
mod own;

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hawser::share::tunnel::process::TunnelError;
use node::{Cluster, alive, eventually, kill};
use tokio_util::sync::CancellationToken;

/// An address on loopback.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A server that sends back what it gets; returns its port.
pub(crate) fn echo() -> u16 {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut writes = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut stream, &mut writes);
            });
        }
    });
    port
}

/// Sends some bytes and gets them back.
fn said_and_heard(stream: &mut TcpStream) -> bool {
    let mut back = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut back).is_ok() && &back == b"hello"
}

fn kernel(port: u16) -> TcpStream {
    let stream = TcpStream::connect(loopback(port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_tunnel_is_started_again_and_the_kernel_comes_back_to_the_same_port() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let port = a.reaches(&mut b, echo());
    b.apply().await;
    let first = a.apply().await.pid;
    let keeper = {
        let tunnel = a.tunnel.clone();
        tokio::spawn(async move { tunnel.keep(CancellationToken::new()).await })
    };
    let mut stream = kernel(port);
    assert!(said_and_heard(&mut stream));
    // The keeper holds its connection by now.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let killed = Instant::now();
    kill(first);

    assert!(!said_and_heard(&mut stream), "the connection survived the tunnel");
    // A process that is being killed may still take a connection, which then carries nothing.
    let back = loop {
        let stream = TcpStream::connect(loopback(port));
        if stream.is_ok_and(|mut stream| said_and_heard(&mut stream)) {
            break killed.elapsed();
        }
        assert!(killed.elapsed() < Duration::from_secs(20), "it is not started again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("measured: after kill -9 of the tunnel bytes are carried again in {back:?}");
    assert_ne!(a.tunnel.status().await.unwrap().pid, first);
    keeper.abort();
    // Else it would start what is killed at the end of the test.
    let _ = keeper.await;
}

/// A server that takes nothing for a while and then all of it, and says how much that was.
fn slow_server(stands_still: Duration) -> u16 {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        thread::sleep(stands_still);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let _ = stream.write_all(&all.len().to_be_bytes());
    });
    port
}

/// As one whose disk does: were the connection ended, the kernel would send all of it anew, and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_waited_for() {
    const MUCH: usize = 64 << 20;
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let port = a.reaches(&mut b, slow_server(Duration::from_secs(30)));
    b.apply().await;
    a.apply().await;

    let taken = tokio::task::spawn_blocking(move || {
        let mut stream = kernel(port);
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(&vec![7; MUCH])?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut count = [0; 8];
        stream.read_exact(&mut count)?;
        std::io::Result::Ok(usize::from_be_bytes(count))
    });

    assert_eq!(taken.await.unwrap().unwrap(), MUCH);
}

/// Certificates that have ended, a namespace that is gone: no tunnel starts, and none carries anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letting_go_needs_no_tunnel_that_can_be_started() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    a.reaches(&mut b, echo());
    let pid = a.apply().await.pid;
    fs::remove_file(&a.table.key).unwrap();
    let mut less = a.table.clone();
    less.remotes.clear();
    // The one that runs goes on with the key that it has read.
    a.tunnel.withdraw(&less).await.unwrap();
    assert!(a.tunnel.status().await.unwrap().remotes.is_empty());

    kill(pid);
    eventually("it has ended", || !alive(pid));

    a.tunnel.withdraw(&less).await.unwrap();
    assert!(a.tunnel.apply(&less).await.is_err(), "nothing can be started here");
    assert!(!fs::read_to_string(&a.tunnel.table).unwrap().contains("\"owner\""));
}

/// The part of a daemon in the next test, in a process of its own.
#[tokio::test]
#[ignore = "a part of another test, which starts it"]
async fn daemon_of_a_test() {
    let Ok(dir) = env::var("TUNNEL_TEST_DAEMON") else {
        panic!("started by hand: this is a part of another test");
    };
    let tunnel = node::tunnel_in(dir.as_ref());
    let status = tunnel.ensure().await.unwrap();
    fs::write(format!("{dir}/started"), status.pid.to_string()).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_daemon_on_either_side_takes_nothing_with_it_and_the_next_finds_the_tunnel() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let port = a.reaches(&mut b, echo());
    let mut daemons = Vec::new();
    for node in [&a, &b] {
        node.write();
        let daemon = Command::new(env::current_exe().unwrap())
            .args(["--exact", "daemon_of_a_test", "--ignored"])
            .env("TUNNEL_TEST_DAEMON", node.dir())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        daemons.push(daemon);
        let started = node.dir().join("started");
        eventually("its tunnel runs", || started.exists());
    }
    let mut stream = kernel(port);
    assert!(said_and_heard(&mut stream));
    let before = [a.tunnel.status().await.unwrap().pid, b.tunnel.status().await.unwrap().pid];

    for mut daemon in daemons {
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    assert!(said_and_heard(&mut stream), "the connection went with a daemon");
    // The next daemon finds them, and changes what they carry without touching the rest.
    let other = a.reaches(&mut b, echo());
    let after = [a.apply().await.pid, b.apply().await.pid];
    assert_eq!(after, before);
    assert!(said_and_heard(&mut stream));
    assert!(said_and_heard(&mut kernel(other)));
}

#[tokio::test]
async fn a_tunnel_of_an_older_program_goes_on_until_it_is_idle_and_is_replaced_then() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let port = a.reaches(&mut b, echo());
    b.apply().await;
    // A copy: another file is another program.
    let older = a.dir().join("older");
    fs::copy(&a.tunnel.program, &older).unwrap();
    let new = std::mem::replace(&mut a.tunnel.program, older);
    let old = a.apply().await.pid;
    a.tunnel.program = new;
    let mut stream = kernel(port);

    assert_eq!(a.apply().await.pid, old);
    assert!(said_and_heard(&mut stream));
    a.table.remotes.clear();
    a.apply().await;
    let replaced = a.tunnel.ensure().await.unwrap().pid;

    assert_ne!(replaced, old);
    eventually("the older one has ended", || !alive(old));
}

#[tokio::test]
async fn a_tunnel_without_a_table_says_why_and_a_second_one_is_refused() {
    let cluster = Cluster::new();
    let mut a = cluster.node("a");
    let run = |a: &node::Node| {
        let output = Command::new(&a.tunnel.program)
            .args(["tunnel", "--table"])
            .arg(&a.tunnel.table)
            .arg("--socket")
            .arg(&a.tunnel.socket)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&a);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("cannot read the tunnel's table") && told.contains("table.json"),
        "{told}"
    );
    a.apply().await;
    let (code, told) = run(&a);
    assert_eq!(code, Some(1));
    assert!(told.contains("another tunnel runs: it holds the lock"), "{told}");
}

#[tokio::test]
async fn the_daemon_is_told_which_port_is_taken_and_that_the_rest_is_in_force() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let server = echo();
    let port = a.reaches(&mut b, server);
    a.reaches(&mut b, server);
    b.apply().await;
    let taken = TcpListener::bind(loopback(a.table.remotes[1].port)).unwrap();
    match a.tunnel.apply(&a.table).await {
        Err(TunnelError::Incomplete(text)) => {
            let named = taken.local_addr().unwrap().to_string();
            assert!(text.contains(&named), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(said_and_heard(&mut kernel(port)));
}

#[tokio::test]
async fn at_the_hosts_shutdown_it_ends_when_the_kernel_does_not_need_it() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let port = a.reaches(&mut b, echo());
    let (reaching, owning) = (a.apply().await.pid, b.apply().await.pid);
    let mut stream = kernel(port);
    assert!(said_and_heard(&mut stream));

    node::terminate(reaching);
    node::terminate(owning);

    eventually("the owner's has ended", || !alive(owning));
    assert_eq!(a.tunnel.status().await.unwrap().pid, reaching);
}
