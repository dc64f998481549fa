//! Who is not let in: refused, counted, and said in both logs.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::world::{Node, Pair, echo, free_port, kernel, loopback, said_and_heard, until};
use crate::{
    peer::{
        Identity, PeerConfig, names,
        pki::{Authority, Validity},
        testing::{CLUSTER, Files, Log, authority, ca, node},
    },
    share::tunnel::{
        Access, Refusal,
        hello::{self, ALPN, Answer, Hello},
    },
    volume::VolumeId,
};

/// A server to which nobody may come.
async fn forbidden() -> (u16, TcpListener) {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    (listener.local_addr().unwrap().port(), listener)
}

async fn nobody_came(listener: &TcpListener) {
    let came = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(came.is_err(), "somebody reached the server");
}

#[tokio::test]
async fn a_caller_is_refused_by_volume_epoch_and_claim_and_both_sides_say_why() {
    let log = Log::start();
    let (server, listener) = forbidden().await;
    let cases = [
        (Refusal::UnknownVolume, 2, "is not shared from this node"),
        (Refusal::OldEpoch, 1, "the owner's epoch is 2, the caller's is 1"),
        (Refusal::NewEpoch, 3, "the caller knows epoch 3"),
        (Refusal::NotTheWriter, 2, "is not shared: node `c` has it"),
    ];
    for (reason, epoch, text) in cases {
        let authority = authority();
        let (mut a, mut b) = (Node::new("a", &authority), Node::new("b", &authority));
        let volume = VolumeId::random();
        let unknown = reason == Refusal::UnknownVolume;
        b.export(if unknown { VolumeId::random() } else { volume }, 2, server);
        if reason == Refusal::NotTheWriter {
            b.table.exports[0].access = Access::Only(node("c"));
        }
        let port = a.remote(volume, epoch, &b);
        b.apply().await.unwrap();
        a.apply().await.unwrap();

        let mut waiting = kernel(port).await;
        waiting.write_all(b"x").await.unwrap();

        until("it is refused twice", || a.reached().refused.get(&reason) >= Some(&2)).await;
        let told = a.reached().last_error.unwrap();
        assert!(told.text.contains(text) && told.text.contains("node `b`"), "{told:?}");
        assert_eq!((a.reached().waiting, a.reached().sent), (1, 0));
        log.until(["refused on the tunnel's port", text]).await;
        log.until(["a volume waits for its owner", text]).await;
        if unknown {
            assert!(b.running().status().strangers >= 2);
        } else {
            assert!(b.exported().refused.get(&reason) >= Some(&2));
        }
        nobody_came(&listener).await;
    }
}

#[tokio::test]
async fn the_writer_is_let_in() {
    let (server, _echo) = echo().await;
    let mut pair = Pair::new(server).await;
    pair.b.table.exports[0].access = Access::Only(node("a"));
    pair.b.apply().await.unwrap();
    said_and_heard(&mut kernel(pair.port).await, b"x").await;
}

#[tokio::test]
async fn a_node_of_another_ca_is_believed_by_neither() {
    let log = Log::start();
    let (ours, foreign) = (authority(), authority());
    let (server, listener) = forbidden().await;
    let (mut a, mut b) = (Node::new("a", &foreign), Node::new("b", &ours));
    let volume = VolumeId::random();
    b.export(volume, 1, server);
    let port = a.remote(volume, 1, &b);
    b.apply().await.unwrap();
    a.apply().await.unwrap();
    let _waiting = kernel(port).await;
    until("it does not believe", || a.reached().refused.contains_key(&Refusal::Untrusted)).await;
    log.until(["a volume waits for its owner", "ca.pem"]).await;
    log.until(["refused on the tunnel's port: it does not believe us"]).await;

    // Made to believe, it is not believed.
    a.files.write_ca(&(ca(&ours) + &ca(&foreign)));
    let told = || a.reached().last_error.is_some_and(|e| e.text.contains("it does not believe us"));
    until("it is not believed", told).await;
    assert_eq!(a.reached().last_error.unwrap().reason, Refusal::Untrusted);
    assert!(b.running().status().strangers > 0);
    nobody_came(&listener).await;
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_although_its_ca_is_ours() {
    let (server, listener) = forbidden().await;
    let pair = Pair::new(server).await;
    let key = pair.authority.pair(Validity::days(1)).unwrap().key;
    let other = Authority::from_key("test", &key).unwrap();
    let both = ca(&pair.authority) + &other.pair(Validity::days(1)).unwrap().certificate;
    let issued = other.issue(&node("a"), Validity::days(1)).unwrap();
    let files = Files::new("a", &both, &issued);
    pair.b.files.write_ca(&both);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let stranger =
        Identity::load(PeerConfig { cluster: "test".to_owned(), ..files.config() }).unwrap();

    let hello = Hello { volume: pair.volume, epoch: 1.into(), node: node("a") };
    let text = refused(said(&stranger, &pair.b, &hello).await);
    assert!(text.contains("of cluster `prod`"), "{text}");
    nobody_came(&listener).await;
}

#[tokio::test]
async fn a_node_that_gives_itself_out_as_the_writer_is_refused() {
    let (server, listener) = forbidden().await;
    let mut pair = Pair::new(server).await;
    pair.b.table.exports[0].access = Access::Only(node("w"));
    pair.b.apply().await.unwrap();

    let hello = Hello { volume: pair.volume, epoch: 1.into(), node: node("w") };
    let text = refused(said(&pair.a.files.identity(), &pair.b, &hello).await);
    assert!(text.contains("it calls itself node `w`"), "{text}");
    nobody_came(&listener).await;
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_or_says_nothing_takes_nothing() {
    let log = Log::start();
    let (server, listener) = forbidden().await;
    let pair = Pair::new(server).await;
    // TLS of a node, and no ALPN.
    let identity = pair.a.files.identity();
    let tls = identity.tls().await;
    let name = names::server_name(CLUSTER, &node("b")).unwrap();
    let stream = TcpStream::connect(pair.b.table.listen).await.unwrap();
    let _plain = TlsConnector::from(std::sync::Arc::clone(&tls.client)).connect(name, stream).await;
    log.until(["refused on the tunnel's port: it does not speak the tunnel's protocol"]).await;
    // No TLS at all.
    let mut stream = TcpStream::connect(pair.b.table.listen).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    log.until(["refused on the tunnel's port: it does not speak TLS 1.3"]).await;
    // Nothing at all.
    let _silent = TcpStream::connect(pair.b.table.listen).await.unwrap();
    until("it is refused", || pair.b.running().status().strangers == 3).await;
    nobody_came(&listener).await;
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let server = free_port();
    let pair = Pair::new(server).await;
    let mut waiting = kernel(pair.port).await;
    let reason = Refusal::NoServer;
    until("there is no server", || pair.a.reached().refused.get(&reason) >= Some(&2)).await;
    assert!(pair.b.exported().refused.get(&reason) >= Some(&2));

    let listener = TcpListener::bind(loopback(server)).await.unwrap();
    waiting.write_all(b"x").await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();

    assert_eq!(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap(), b'x');
}

/// Says hello with whatever is wanted in it.
async fn said(caller: &Identity, to: &Node, hello: &Hello) -> Answer {
    let tls = caller.tls().await;
    let mut config = tokio_rustls::rustls::ClientConfig::clone(&tls.client);
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = names::server_name(CLUSTER, &to.table.node).unwrap();
    let stream = TcpStream::connect(to.table.listen).await.unwrap();
    let mut stream =
        TlsConnector::from(std::sync::Arc::new(config)).connect(name, stream).await.unwrap();
    hello::send(&mut stream, hello).await.unwrap();
    hello::receive(&mut stream).await.unwrap()
}

/// The text of a refusal as somebody else.
#[track_caller]
fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused { reason: Refusal::WrongNode, text } => text,
        other @ (Answer::Refused { .. } | Answer::Welcome) => panic!("{other:?}"),
    }
}
