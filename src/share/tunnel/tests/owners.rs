//! Owners that go away, come back, and are others.

use std::time::{Duration, Instant};

use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpListener, time::sleep};

use super::world::{Node, Pair, echo, ends, kernel, loopback, said_and_heard, until};
use crate::{
    peer::testing::{authority, node},
    share::tunnel::{Access, Refusal, Way},
    volume::VolumeId,
};

#[tokio::test]
async fn a_connection_waits_for_an_owner_that_is_away_and_loses_nothing() {
    let authority = authority();
    let (server, _echo) = echo().await;
    let (mut a, mut b) = (Node::new("a", &authority), Node::new("b", &authority));
    let volume = VolumeId::random();
    b.export(volume, 1, server);
    let port = a.remote(volume, 1, &b);
    a.apply().await.unwrap();
    let mut stream = kernel(port).await;
    stream.write_all(b"written while nobody is there").await.unwrap();
    until("it was tried", || a.reached().refused.get(&Refusal::Unreachable) >= Some(&5)).await;
    assert_eq!((a.reached().waiting, a.reached().sent), (1, 0));

    b.apply().await.unwrap();
    let back = Instant::now();

    let mut heard = [0; 29];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"written while nobody is there");
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    assert_eq!(a.reached().waiting, 0);
}

#[tokio::test]
async fn a_kernel_that_gives_up_is_not_waited_for() {
    let authority = authority();
    let (mut a, b) = (Node::new("a", &authority), Node::new("b", &authority));
    let port = a.remote(VolumeId::random(), 1, &b);
    a.apply().await.unwrap();
    let mut stream = kernel(port).await;
    stream.write_all(b"never read").await.unwrap();
    until("it waits", || a.reached().waiting == 1).await;

    drop(stream);

    until("it is gone", || a.reached().waiting == 0).await;
}

#[tokio::test]
async fn another_owner_ends_what_goes_to_the_one_before_and_gets_what_comes() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    let mut before = kernel(pair.port).await;
    said_and_heard(&mut before, b"to b").await;
    let mut c = Node::new("c", &pair.authority);
    c.export(pair.volume, 2, server);
    c.apply().await.unwrap();

    pair.a.table.remotes[0].owner = node("c");
    pair.a.table.remotes[0].address = c.table.listen.to_string();
    pair.a.table.remotes[0].epoch = 2.into();
    pair.a.apply().await.unwrap();

    ends(&mut before).await;
    said_and_heard(&mut kernel(pair.port).await, b"to c").await;
    assert_eq!((pair.b.exported().opened, c.exported().opened), (1, 1));
}

#[tokio::test]
async fn what_waits_for_one_owner_goes_to_the_next() {
    let authority = authority();
    let (server, _echo) = echo().await;
    let (mut a, b) = (Node::new("a", &authority), Node::new("b", &authority));
    let volume = VolumeId::random();
    let port = a.remote(volume, 1, &b);
    a.apply().await.unwrap();
    let mut stream = kernel(port).await;
    stream.write_all(b"x").await.unwrap();
    until("it waits", || a.reached().waiting == 1).await;
    let mut c = Node::new("c", &authority);
    c.export(volume, 2, server);
    c.apply().await.unwrap();

    a.table.remotes[0].owner = node("c");
    a.table.remotes[0].address = c.table.listen.to_string();
    a.table.remotes[0].epoch = 2.into();
    a.apply().await.unwrap();

    assert_eq!(stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_way_whose_claim_is_lost_ends_what_it_carries_and_answers_with_errors() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    let mut carried = kernel(pair.port).await;
    said_and_heard(&mut carried, b"before").await;
    pair.b.table.exports.clear();
    pair.b.apply().await.unwrap();
    ends(&mut carried).await;
    let mut waits = kernel(pair.port).await;
    until("it waits", || pair.a.reached().waiting == 1).await;
    let sent = pair.a.reached().sent;

    pair.a.table.remotes[0].way = Way::Lost;
    pair.a.apply().await.unwrap();

    for stream in [&mut waits, &mut kernel(pair.port).await] {
        stream.write_all(b"\x80\0\0\x08\0\0\0\x07call").await.unwrap();
        let mut reply = [0; 28];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply[..8], b"\x80\0\0\x18\0\0\0\x07", "an answer to call 7");
    }
    assert_eq!(pair.a.reached().sent, sent, "nothing goes to anybody");
}

/// By the end of the reload: whoever told the tunnel goes on to give the volume away.
#[tokio::test]
async fn an_export_that_changes_has_no_connection_left_when_the_reload_is_answered() {
    type Change = fn(&mut Node);
    let changes: [(&str, Change); 3] = [
        ("gone", |b| b.table.exports.clear()),
        ("of a later epoch", |b| b.table.exports[0].epoch = 2.into()),
        ("another's", |b| b.table.exports[0].access = Access::Only(node("c"))),
    ];
    for (what, change) in changes {
        let listener = TcpListener::bind(loopback(0)).await.unwrap();
        let mut pair = Pair::new(listener.local_addr().unwrap().port()).await;
        let mut stream = kernel(pair.port).await;
        let (mut server, _) = listener.accept().await.unwrap();
        stream.write_all(b"before").await.unwrap();
        let mut heard = [0; 6];
        server.read_exact(&mut heard).await.unwrap();
        // Ends when it is asked to, as servers do; and not before the reload asks.
        let server = tokio::spawn(async move {
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.map(|_| rest)
        });

        change(&mut pair.b);
        pair.b.apply().await.unwrap();

        // Not one turn of the runtime later.
        assert!(server.is_finished(), "{what}: the server has a connection left");
        assert_eq!(server.await.unwrap().unwrap(), b"");
        ends(&mut stream).await;
        let _again = kernel(pair.port).await;
        until("it is refused", || !pair.a.reached().refused.is_empty()).await;
    }
}

/// What was done and is not heard of is asked for again, and refused then: a rename has nothing to rename.
#[tokio::test]
async fn a_server_s_last_answers_are_heard_and_nothing_more_is_asked() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let mut pair = Pair::new(listener.local_addr().unwrap().port()).await;
    let mut stream = kernel(pair.port).await;
    let (mut server, _) = listener.accept().await.unwrap();
    stream.write_all(b"rename").await.unwrap();
    let mut call = [0; 6];
    server.read_exact(&mut call).await.unwrap();
    let server = tokio::spawn(async move {
        sleep(Duration::from_millis(100)).await;
        server.write_all(b"done").await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.map(|_| rest)
    });

    pair.b.table.exports.clear();
    let late = async {
        sleep(Duration::from_millis(50)).await;
        stream.write_all(b"late").await.unwrap();
    };
    let (applied, ()) = tokio::join!(pair.b.apply(), late);
    applied.unwrap();

    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"done");
    assert_eq!(server.await.unwrap().unwrap(), b"", "it was asked once more");
    ends(&mut stream).await;
}

#[tokio::test]
async fn an_export_that_does_not_change_keeps_its_connections() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    let mut stream = kernel(pair.port).await;
    said_and_heard(&mut stream, b"before").await;
    pair.b.export(VolumeId::random(), 5, server);
    pair.b.apply().await.unwrap();
    let other = pair.a.remote(VolumeId::random(), 5, &pair.b);
    pair.a.apply().await.unwrap();
    let _other = kernel(other).await;

    said_and_heard(&mut stream, b"after").await;

    assert_eq!(pair.b.running().status().exports.iter().map(|e| e.figures.opened).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_volume_has_its_limit_of_connections_for_each_node() {
    let (server, _echo) = echo().await;
    let pair = Pair::new(server).await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        let mut stream = kernel(pair.port).await;
        said_and_heard(&mut stream, b"x").await;
        streams.push(stream);
    }
    let mut one_more = kernel(pair.port).await;
    until("it is refused", || pair.a.reached().refused.contains_key(&Refusal::Busy)).await;

    streams.pop();

    said_and_heard(&mut one_more, b"x").await;
}
