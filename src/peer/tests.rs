//! Both ends over real TLS on loopback.

mod limits;
mod rotation;

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    PeerError, Peers,
    pki::{Authority, Validity},
    testing::{CLUSTER, Files, Log, Server, authority, ca, expired, member, node},
    trust::{Cause, Side},
};
use crate::peer::identity::{Identity, PeerConfig};

#[track_caller]
fn untrusted(result: Result<Value, PeerError>) -> (Side, Cause) {
    match result {
        Err(PeerError::Untrusted { why, .. }) => (why.side, why.cause),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_goes_through_and_the_server_knows_who_calls() {
    let authority = authority();
    let (a, b) = (member("Node_A.x", &authority), member("b", &authority));
    let server = Server::start(b.identity()).await;

    let answer = server.asked_by(a.identity(), "b").await.unwrap();

    assert_eq!(answer, json!({ "caller": "Node_A.x", "said": "hello" }));
}

#[tokio::test]
async fn a_node_of_another_ca_is_refused_by_both_ends() {
    let log = Log::start();
    let (ours, foreign) = (authority(), authority());
    let (stranger, b) = (member("a", &foreign), member("b", &ours));
    let server = Server::start(b.identity()).await;

    // It does not believe us; made to believe, it is not believed.
    let cause = untrusted(server.asked_by(stranger.identity(), "b").await);
    assert_eq!(cause, (Side::Ours, Cause::UnknownAuthority));
    log.until(["refused on the peer port", "127.0.0.1", "it does not believe us", "ca.pem"]).await;
    stranger.write_ca(&(ca(&ours) + &ca(&foreign)));
    let cause = untrusted(server.asked_by(stranger.identity(), "b").await);
    assert_eq!(cause, (Side::Theirs, Cause::UnknownAuthority));
    log.until(["refused on the peer port: no CA in ca.pem signed its certificate"]).await;
}

/// The verdict must arrive, and not a reset, also where a large request is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_refused_reads_why_each_time() {
    let (ours, foreign) = (authority(), authority());
    let (stranger, b) = (member("a", &foreign), member("b", &ours));
    stranger.write_ca(&(ca(&ours) + &ca(&foreign)));
    let server = Server::start(b.identity()).await;
    let (peers, address) = (Peers::new(stranger.identity()), server.address.to_string());
    for size in [0, 100, 100_000, 3 << 20].repeat(20) {
        let body = "x".repeat(size);
        let limit = Duration::from_secs(10);
        let result = peers.call(&node("b"), &address, "/whoami", &body, limit).await;
        assert_eq!(untrusted(result), (Side::Theirs, Cause::UnknownAuthority));
    }
}

/// Valid when it was loaded, as on a node that nobody looked after.
#[tokio::test]
async fn an_expired_certificate_is_refused_by_both_ends() {
    let log = Log::start();
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let short = || {
        let until = std::time::SystemTime::now() + Duration::from_secs(2);
        Validity { until, ..Validity::days(1) }
    };
    let old = Files::new("a", &ca(&authority), &authority.issue(&node("a"), short()).unwrap());
    let (fresh, old) = (a.identity(), old.identity());
    let old_server =
        Files::new("c", &ca(&authority), &authority.issue(&node("c"), short()).unwrap());
    let old_server = Server::start(old_server.identity()).await;
    let server = Server::start(b.identity()).await;
    tokio::time::sleep(Duration::from_secs(4)).await;

    let cause = untrusted(server.asked_by(old, "b").await);
    assert_eq!(cause, (Side::Theirs, Cause::Expired));
    log.until(["refused on the peer port: its certificate has expired (on 20", "--renew"]).await;
    let cause = untrusted(old_server.asked_by(fresh, "c").await);
    assert_eq!(cause, (Side::Ours, Cause::Expired));
}

/// Of one CA: its name alone keeps it out.
#[tokio::test]
async fn a_node_of_another_cluster_is_refused_although_its_ca_is_ours() {
    let log = Log::start();
    let authority_of_both = authority();
    let key = authority_of_both.pair(Validity::days(1)).unwrap().key;
    let other = Authority::from_key("test", &key).unwrap();
    let pair = other.issue(&node("a"), Validity::days(1)).unwrap();
    // The subject has the cluster's name, so its CA is told apart from ours: it needs both.
    let both = ca(&authority_of_both) + &other.pair(Validity::days(1)).unwrap().certificate;
    let stranger = Files::new("a", &both, &pair);
    let b = member("b", &authority_of_both);
    b.write_ca(&both);
    let server = Server::start(b.identity()).await;
    let config = PeerConfig { cluster: "test".to_owned(), ..stranger.config() };

    let stranger = Identity::load(config).unwrap();

    let cause = untrusted(server.asked_by(stranger.clone(), "b").await);
    assert_eq!(cause, (Side::Ours, Cause::WrongName));
    log.until(["refused on the peer port: it does not believe us"]).await;

    // One that does not care who answers is refused by the server.
    let (status, text) = raw(&stranger, &server, "b", "a").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("its certificate is not for that node of cluster `prod`"), "{text}");
    log.until(["refused on the peer port: it calls itself node `a`", CLUSTER]).await;
}

#[tokio::test]
async fn a_node_that_gives_itself_out_as_another_is_refused() {
    let log = Log::start();
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let server = Server::start(b.identity()).await;

    assert_eq!(raw(&a.identity(), &server, "b", "a").await.0, StatusCode::OK);
    let (status, text) = raw(&a.identity(), &server, "b", "b").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("it calls itself node `b`"), "{text}");
    log.until(["it calls itself node `b`, and its certificate is not for that node"]).await;
    for nameless in ["", "not a node", "a\" "] {
        assert_eq!(raw(&a.identity(), &server, "b", nameless).await.0, StatusCode::BAD_REQUEST);
    }
    log.until(["does not name a node"]).await;
}

#[tokio::test]
async fn a_server_that_is_another_node_is_not_asked() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&asked);
    let handler = async move || flag.store(true, std::sync::atomic::Ordering::SeqCst);
    let server = Server::with(b.identity(), Router::new().route("/whoami", post(handler))).await;

    let cause = untrusted(server.asked_by(a.identity(), "c").await);

    assert_eq!(cause, (Side::Ours, Cause::WrongName));
    assert!(!asked.load(std::sync::atomic::Ordering::SeqCst));
}

#[tokio::test]
async fn a_caller_without_a_certificate_and_one_without_tls_are_refused() {
    let log = Log::start();
    let authority = authority();
    let b = member("b", &authority);
    let server = Server::start(b.identity()).await;

    let text = anonymous(&b, &server).await.unwrap_err().to_string();
    assert!(text.contains("CertificateRequired"), "{text}");
    log.until(["refused on the peer port: there was no certificate"]).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    log.until(["refused on the peer port: it does not speak TLS 1.3"]).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn a_scanner_makes_one_line_a_minute() {
    let log = Log::start();
    let b = member("b", &authority());
    let server = Server::start(b.identity()).await;
    for _ in 0..20 {
        anonymous(&b, &server).await.unwrap_err();
    }
    log.until(["there was no certificate"]).await;
    assert_eq!(log.text().matches("there was no certificate").count(), 1, "{}", log.text());
}

#[tokio::test]
async fn a_refusal_of_the_route_arrives_with_its_status_and_reason() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let no = async || (StatusCode::CONFLICT, axum::Json(json!({ "error": "held by app 7" })));
    let server = Server::with(b.identity(), Router::new().route("/whoami", post(no))).await;

    match server.asked_by(a.identity(), "b").await {
        Err(PeerError::Refused { status: 409, message, .. }) => {
            assert_eq!(message, "held by app 7");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_is_not_json_or_too_large_is_garbled() {
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    for answer in ["<html>".to_owned(), "x".repeat(super::BODY_LIMIT + 1)] {
        let route = post(async move || answer.clone());
        let server = Server::with(b.identity(), Router::new().route("/whoami", route)).await;
        let result = server.asked_by(a.identity(), "b").await;
        assert!(matches!(result, Err(PeerError::Garbled { .. })), "{result:?}");
    }
}

/// Calls with a header of its own, and without looking at the server's name.
async fn raw(
    caller: &Identity,
    server: &Server,
    callee: &str,
    called: &str,
) -> (StatusCode, String) {
    use http_body_util::{BodyExt, Full};
    let tls = caller.tls().await;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&tls.client));
    let name = super::names::server_name(CLUSTER, &node(callee)).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = hyper::Request::post("/whoami")
        .header("host", "b")
        .header("content-type", "application/json")
        .header(super::NODE_HEADER, called)
        .body(Full::new(hyper::body::Bytes::from("1")))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A caller that believes our CA and shows nothing.
async fn anonymous(member: &Files, server: &Server) -> std::io::Result<()> {
    use tokio_rustls::rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject},
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(member.path("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = super::names::server_name(CLUSTER, &node("b")).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(b"POST /whoami HTTP/1.1\r\nhost: b\r\nhawser-node: b\r\n\r\n").await?;
    stream.read_u8().await.map(|_| ())
}

#[tokio::test]
async fn an_identity_that_has_expired_is_none() {
    let authority = authority();
    let pair = authority.issue(&node("a"), expired()).unwrap();
    let error = Identity::load(Files::new("a", &ca(&authority), &pair).config()).unwrap_err();
    assert!(error.to_string().contains("has expired (on 20"), "{error}");
}
