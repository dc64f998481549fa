//! Tables that cannot be had whole, and where sockets are.

use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpListener};

use super::world::{Pair, echo, kernel, loopback, said_and_heard, until};
use crate::{share::tunnel::RunError, sys::netns::Netns, volume::VolumeId};

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_the_rest_is_in_force_and_it_is_tried_again() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    let taken = TcpListener::bind(loopback(0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let volume = VolumeId::random();
    pair.a.remote(volume, 1, &pair.b);
    pair.a.table.remotes[1].port = port;
    let third = pair.a.remote(VolumeId::random(), 1, &pair.b);

    let error = pair.a.apply().await.unwrap_err().to_string();

    let named = format!("volume {volume}: cannot listen on 127.0.0.1:{port}");
    assert!(error.contains(&named), "{error}");
    assert_eq!(pair.a.running().status().failures, [error]);
    said_and_heard(&mut kernel(pair.port).await, b"x").await;
    drop(kernel(third).await);
    drop(taken);
    until("it is in force", || pair.a.running().status().failures.is_empty()).await;
    drop(kernel(port).await);
}

#[tokio::test]
async fn what_is_fenced_is_fenced_whatever_else_is_wrong_with_the_table() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    let mut stream = kernel(pair.port).await;
    said_and_heard(&mut stream, b"x").await;
    let taken = TcpListener::bind(loopback(0)).await.unwrap();
    pair.b.table.listen = taken.local_addr().unwrap();
    pair.b.table.key = "/nowhere".into();
    pair.b.table.exports.clear();

    match pair.b.apply().await {
        Err(RunError::Incomplete(failures)) => {
            assert!(failures.iter().any(|failure| failure.contains("/nowhere")), "{failures:?}");
            assert!(failures.iter().any(|f| f.contains("peer.tunnel_listen")), "{failures:?}");
        }
        other => panic!("{other:?}"),
    }
    super::world::ends(&mut stream).await;
}

#[tokio::test]
async fn a_table_that_is_none_changes_nothing() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    let mut stream = kernel(pair.port).await;
    let good = pair.a.table.version;
    pair.a.table.version = 99;
    let error = pair.a.apply().await.unwrap_err().to_string();
    assert!(error.contains("has version 99"), "{error}");
    said_and_heard(&mut stream, b"x").await;
    pair.a.table.version = good;
    pair.a.apply().await.unwrap();
}

#[tokio::test]
async fn a_tunnel_that_carries_something_does_not_end_and_an_idle_one_does() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    for node in [&mut pair.a, &mut pair.b] {
        assert!(matches!(node.running().stop().await, Err(RunError::Busy(1))));
        node.table.exports.clear();
        node.table.remotes.clear();
        node.apply().await.unwrap();
        node.running().stop().await.unwrap();
        assert!(matches!(node.apply().await, Err(RunError::Ending)));
    }
}

/// Needs `CAP_SYS_ADMIN`, and fails without it.
#[tokio::test]
async fn both_ends_are_in_the_namespace_and_the_network_between_them_is_the_hosts() {
    let world = crate::sys::testing::World::alone();
    let path = world.path("netns");
    let namespace = Netns::ensure(&path).unwrap();
    let inside = namespace.run(|| std::net::TcpListener::bind(loopback(0))).unwrap().unwrap();
    inside.set_nonblocking(true).unwrap();
    let server = inside.local_addr().unwrap().port();
    let listener = TcpListener::from_std(inside).unwrap();
    let authority = crate::peer::testing::authority();
    let mut a = super::world::Node::new("a", &authority);
    let mut b = super::world::Node::new("b", &authority);
    let volume = VolumeId::random();
    b.export(volume, 1, server);
    let port = a.remote(volume, 1, &b);
    a.table.namespace = Some(path.clone());
    b.table.namespace = Some(path.clone());
    b.apply().await.unwrap();
    a.apply().await.unwrap();

    assert!(tokio::net::TcpStream::connect(loopback(port)).await.is_err(), "tasks reach it");
    let stream = namespace.run(|| std::net::TcpStream::connect(loopback(port))).unwrap().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
    stream.write_all(b"x").await.unwrap();
    let (mut served, _) = listener.accept().await.unwrap();
    assert_eq!(served.read_u8().await.unwrap(), b'x');

    Netns::forget(&path).unwrap();
}
