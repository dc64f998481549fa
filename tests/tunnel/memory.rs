//! What fifty volumes cost.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use super::{
    echo, loopback,
    node::{Cluster, Node},
};

const VOLUMES: usize = 50;
/// For each, on each side: far above what is measured, far below what an unbounded buffer takes.
const LIMIT_KIB: u64 = 128 << 10;

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn pid(node: &Node) -> u32 {
    node.tunnel.status().await.unwrap().pid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_volumes_with_a_connection_each_take_a_bounded_amount_of_memory() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let server = echo();
    a.apply().await;
    b.apply().await;
    let idle = [resident_kib(pid(&a).await), resident_kib(pid(&b).await)];
    let ports: Vec<_> = (0..VOLUMES).map(|_| a.reaches(&mut b, server)).collect();
    b.apply().await;
    a.apply().await;

    let chunk = vec![7; 4 << 20];
    let streams: Vec<_> = ports
        .into_iter()
        .map(|port| {
            let mut stream = TcpStream::connect(loopback(port)).unwrap();
            let (mut reads, chunk) = (stream.try_clone().unwrap(), chunk.clone());
            let writes = std::thread::spawn(move || stream.write_all(&chunk).unwrap());
            let mut back = vec![0; 4 << 20];
            reads.read_exact(&mut back).unwrap();
            writes.join().unwrap();
            reads
        })
        .collect();

    let used = [resident_kib(pid(&a).await), resident_kib(pid(&b).await)];
    let locked = a.tunnel.status().await.unwrap().protection.locked;
    println!(
        "measured: resident memory, KiB, of the reaching and the owning tunnel: idle {idle:?}; {VOLUMES} volumes with a connection each that carried 4 MiB both ways {used:?}; memory locked: {locked}"
    );
    assert!(used.iter().all(|kib| *kib < LIMIT_KIB), "{used:?}");
    drop(streams);
}
