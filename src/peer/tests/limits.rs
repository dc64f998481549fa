//! Callers that are slow, many or gone, and the server's end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
};

use crate::peer::{
    PeerError, Peers,
    testing::{Log, Server, authority, member, node},
};

async fn connect_from(source: [u8; 4], server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(server.address).await.unwrap()
}

#[tokio::test]
async fn callers_that_never_finish_their_handshake_do_not_block_others_and_are_cut_off() {
    let log = Log::start();
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let server = Server::start(b.identity()).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(connect_from([127, 0, 0, 2], &server).await);
    }
    for stream in &mut silent {
        // The first bytes of a ClientHello; those beyond the share are closed already.
        let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
    }
    let begun = Instant::now();

    for _ in 0..10 {
        server.asked_by(a.identity(), "b").await.unwrap();
    }

    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    log.until(["127.0.0.2", "too many handshakes under way"]).await;
    let mut first = silent.swap_remove(0);
    let ended = tokio::time::timeout(Duration::from_secs(10), first.read(&mut [0; 16])).await;
    assert!(matches!(ended.unwrap(), Ok(0) | Err(_)));
    log.until(["127.0.0.2", "no handshake within 5 s"]).await;
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let authority = authority();
    let a = member("a", &authority);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peers = Peers::new(a.identity());
    for address in [free, silent.local_addr().unwrap()] {
        let limit = Duration::from_millis(300);
        let result: Result<(), _> =
            peers.call(&node("b"), &address.to_string(), "/x", &(), limit).await;
        assert!(matches!(result, Err(PeerError::Unreachable { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_sent() {
    let authority = authority();
    let a = member("a", &authority);
    let body = "x".repeat(crate::peer::BODY_LIMIT);
    let limit = Duration::from_secs(10);
    let result: Result<(), _> =
        Peers::new(a.identity()).call(&node("b"), "127.0.0.1:9", "/x", &body, limit).await;
    assert!(matches!(result, Err(PeerError::Garbled { .. })), "{result:?}");
}

#[tokio::test]
async fn a_request_of_almost_the_limit_goes_through() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let server = Server::start(b.identity()).await;
    let body = "x".repeat(crate::peer::BODY_LIMIT - 100);
    let (limit, address) = (Duration::from_secs(10), server.address.to_string());
    let answer: serde_json::Value =
        Peers::new(a.identity()).call(&node("b"), &address, "/whoami", &body, limit).await.unwrap();
    assert_eq!(answer["said"].as_str().unwrap().len(), body.len());
}

/// What the client itself would not send.
#[tokio::test]
async fn a_node_that_sends_too_much_or_nothing_is_cut_off() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let server = Server::start(b.identity()).await;
    let mut silent = connected(&a, &server).await;
    let mut large = connected(&a, &server).await;
    let length = crate::peer::BODY_LIMIT + 1;
    let head = format!(
        "POST /whoami HTTP/1.1\r\nhost: b\r\nhawser-node: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    large.write_all(head.as_bytes()).await.unwrap();
    // It may be cut off in the middle.
    let _ = large.write_all(&vec![b'1'; length]).await;

    let mut answer = Vec::new();
    let _ = large.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    let mut nothing = Vec::new();
    let ended = silent.read_to_end(&mut nothing);
    let _ = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it is cut off");
}

/// A connection whose two ends believe each other.
async fn connected(
    caller: &crate::peer::testing::Files,
    server: &Server,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let tls = caller.identity().tls().await;
    let name = crate::peer::names::server_name(crate::peer::testing::CLUSTER, &node("b")).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.client));
    connector.connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn what_was_begun_ends_although_its_caller_has_hung_up() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let done = Arc::new(AtomicBool::new(false));
    let handler = {
        let (begun, go_on, done) = (begun.clone(), go_on.clone(), done.clone());
        async move || {
            begun.notify_one();
            go_on.notified().await;
            done.store(true, Ordering::SeqCst);
            Json(json!(null))
        }
    };
    let server = Server::with(b.identity(), Router::new().route("/whoami", post(handler))).await;
    let (identity, address) = (a.identity(), server.address.to_string());
    let call = tokio::spawn(async move {
        let limit = Duration::from_secs(10);
        let peers = Peers::new(identity);
        peers.call::<_, ()>(&node("b"), &address, "/whoami", &(), limit).await
    });
    begun.notified().await;

    call.abort();
    tokio::time::sleep(Duration::from_millis(200)).await;
    go_on.notify_one();

    server.stop.cancel();
    server.task.await.unwrap();
    assert!(done.load(Ordering::SeqCst), "the server's end waits for it");
}

#[tokio::test]
async fn the_server_stops_on_its_token_and_answers_what_is_under_way() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let begun = Arc::new(Notify::new());
    let handler = {
        let begun = begun.clone();
        async move || {
            begun.notify_one();
            tokio::time::sleep(Duration::from_millis(300)).await;
            Json(json!("done"))
        }
    };
    let server = Server::with(b.identity(), Router::new().route("/whoami", post(handler))).await;
    let Server { address, stop, task } = server;
    let silent = TcpStream::connect(address).await.unwrap();
    let (stopping, begun_at) = (stop.clone(), Instant::now());
    let stopper = tokio::spawn(async move {
        begun.notified().await;
        stopping.cancel();
    });
    let same = Server { address, stop, task: tokio::spawn(async {}) };

    let answer = same.asked_by(a.identity(), "b").await.unwrap();

    assert_eq!(answer, json!("done"));
    stopper.await.unwrap();
    task.await.unwrap();
    assert!(begun_at.elapsed() < Duration::from_secs(3), "a handshake does not hold it up");
    drop(silent);
    let result = same.asked_by(a.identity(), "b").await;
    assert!(matches!(result, Err(PeerError::Unreachable { .. })), "{result:?}");
}
