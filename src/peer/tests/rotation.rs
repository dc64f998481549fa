//! Certificates and CAs that are replaced under running servers and callers.

use std::time::Duration;

use tokio::time::sleep;

use crate::peer::{
    Identity,
    pki::Validity,
    testing::{Log, Server, authority, ca, member, node},
};

/// The files are looked at once a second.
async fn until_looked_at() {
    sleep(Duration::from_millis(1100)).await;
}

#[track_caller]
fn works(result: &Result<serde_json::Value, crate::peer::PeerError>) {
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let log = Log::start();
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let (caller, callee) = (a.identity(), b.identity());
    let server = Server::start(callee.clone()).await;
    works(&server.asked_by(caller.clone(), "b").await);
    let (before, old) = (callee.end(), caller.end());

    b.write_pair(&authority.issue(&node("b"), Validity::days(99)).unwrap());
    until_looked_at().await;
    works(&server.asked_by(caller.clone(), "b").await);
    assert!(callee.end() > before, "the server has its new one");
    log.until(["was changed: new connections use it"]).await;
    a.write_pair(&authority.issue(&node("a"), Validity::days(99)).unwrap());
    until_looked_at().await;
    works(&server.asked_by(caller.clone(), "b").await);
    assert!(caller.end() > old, "and the caller");
}

#[tokio::test]
async fn a_ca_is_replaced_by_way_of_a_file_with_both() {
    let (first, second) = (authority(), authority());
    let (a, b) = (member("a", &first), member("b", &first));
    let (caller, server) = (a.identity(), Server::start(b.identity()).await);
    let both = ca(&first) + &ca(&second);

    // Each node believes both; then each has a certificate of the new one; then the old one goes.
    for files in [&a, &b] {
        files.write_ca(&both);
        until_looked_at().await;
        works(&server.asked_by(caller.clone(), "b").await);
    }
    for (name, files) in [("a", &a), ("b", &b)] {
        files.write_pair(&second.issue(&node(name), Validity::days(1)).unwrap());
        until_looked_at().await;
        works(&server.asked_by(caller.clone(), "b").await);
    }
    for files in [&a, &b] {
        files.write_ca(&ca(&second));
        until_looked_at().await;
        works(&server.asked_by(caller.clone(), "b").await);
    }
    // Whoever has a certificate of the old one is out.
    let lost = member("lost", &first);
    lost.write_ca(&both);
    let error = server.asked_by(lost.identity(), "b").await.unwrap_err().to_string();
    assert!(error.contains("it does not believe us"), "{error}");
}

#[tokio::test]
async fn files_that_are_wrong_are_logged_once_and_the_identity_before_goes_on() {
    let log = Log::start();
    let authority = authority();
    let (a, b) = (member("a", &authority), member("b", &authority));
    let (caller, server) = (a.identity(), Server::start(b.identity()).await);

    // Copied half: the key is the old one's.
    let pair = authority.issue(&node("b"), Validity::days(99)).unwrap();
    crate::sys::durable::replace(&b.path("node.pem"), pair.certificate.as_bytes(), 0o644).unwrap();
    for _ in 0..3 {
        until_looked_at().await;
        works(&server.asked_by(caller.clone(), "b").await);
    }
    log.until(["ERROR", "changed and are wrong", "not that of the certificate"]).await;
    assert_eq!(log.text().matches("changed and are wrong").count(), 1, "{}", log.text());
    // And now the other half.
    crate::sys::durable::replace(&b.path("node.key"), pair.key.as_bytes(), 0o600).unwrap();
    until_looked_at().await;
    works(&server.asked_by(caller, "b").await);
    log.until(["was changed: new connections use it"]).await;
}

#[tokio::test]
async fn a_certificate_that_will_end_soon_is_spoken_of() {
    let log = Log::start();
    let authority = authority();
    let _ = Identity::load(member("a", &authority).config()).unwrap();
    log.until(["WARN", "ends on 20", "hawser pki node a --renew"]).await;
}
