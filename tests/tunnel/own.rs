//! A node that reaches a volume by way of itself: it took the volume over while its tasks had it mounted.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::{
    loopback,
    node::{Cluster, Node, free_port},
};
use hawser::{
    share::tunnel::table::{Access, Export, Remote, Way},
    volume::VolumeId,
};

const MUCH: usize = 32 << 20;

/// One more volume of the node's own, which it also reaches; the port for the kernel.
fn reaches_itself(node: &mut Node, server: u16, port: u16) {
    let (volume, epoch) = (VolumeId::random(), 1.into());
    node.table.exports.push(Export { volume, epoch, port: server, access: Access::Any });
    let (owner, address) = (node.table.node.clone(), node.table.listen.to_string());
    node.table.remotes.push(Remote { volume, epoch, port, owner, address, way: Way::Open });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reaches_its_own_volume_carries_as_much_as_the_kernel_sends() {
    let cluster = Cluster::new();
    let mut node = cluster.node("a");
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let server = listener.local_addr().unwrap().port();
    let port = free_port();
    reaches_itself(&mut node, server, port);
    node.apply().await;

    let taken = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut taken, mut buffer) = (0, vec![0; 1 << 20]);
        while taken < MUCH {
            match stream.read(&mut buffer) {
                Ok(count) if count > 0 => taken += count,
                other => panic!("{other:?} after {taken} bytes"),
            }
        }
        stream.write_all(b"all").unwrap();
    });
    let mut stream = TcpStream::connect(loopback(port)).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&vec![7; MUCH]).unwrap();
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"all");
    taken.join().unwrap();
}
