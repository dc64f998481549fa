//! That bytes arrive, all of them, and ends as ends.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::world::{Pair, echo, ends, kernel, loopback, pattern, said_and_heard, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_arrive_intact_both_ways_over_many_connections_and_sizes() {
    let (server, _echo) = echo().await;
    let pair = Pair::new(server).await;
    let sizes = [1, 100, 4095, 16 << 10, (64 << 10) + 1, 3 << 20];
    let connections: Vec<_> = (0..16)
        .map(|seed| {
            let port = pair.port;
            tokio::spawn(async move {
                let mut stream = kernel(port).await;
                for size in sizes {
                    // Both ways at once: what comes back is read while more is sent.
                    let sent = pattern(seed, size);
                    let (mut reads, mut writes) = stream.split();
                    let mut back = vec![0; size];
                    let (wrote, read) =
                        tokio::join!(writes.write_all(&sent), reads.read_exact(&mut back));
                    wrote.unwrap();
                    read.unwrap();
                    assert!(back == sent, "{size} bytes are others");
                }
            })
        })
        .collect();
    for connection in connections {
        connection.await.unwrap();
    }
    let total = 16 * sizes.iter().sum::<usize>() as u64;
    let (there, here) = (pair.b.exported(), pair.a.reached());
    assert_eq!((here.opened, here.sent, here.received), (16, total, total));
    assert_eq!((there.opened, there.sent, there.received), (16, total, total));
    until("all are closed", || pair.b.exported().open + pair.a.reached().open == 0).await;
}

#[tokio::test]
async fn an_end_of_one_side_is_carried_and_the_other_goes_on() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let pair = Pair::new(listener.local_addr().unwrap().port()).await;
    for first in ["the kernel", "the server"] {
        let mut kernel = kernel(pair.port).await;
        let (mut server, _) = listener.accept().await.unwrap();
        let (ends, goes_on) = match first {
            "the kernel" => (&mut kernel, &mut server),
            _ => (&mut server, &mut kernel),
        };
        ends.write_all(b"last words").await.unwrap();
        ends.shutdown().await.unwrap();
        let mut heard = Vec::new();
        goes_on.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last words", "{first} ended first");

        let more = pattern(1, 1 << 20);
        let (wrote, heard) = tokio::join!(
            async {
                goes_on.write_all(&more).await?;
                goes_on.shutdown().await
            },
            async {
                let mut heard = Vec::new();
                ends.read_to_end(&mut heard).await.map(|_| heard)
            }
        );
        wrote.unwrap();
        assert!(heard.unwrap() == more, "{first} ended first");
    }
    until("all are closed", || pair.b.exported().open + pair.a.reached().open == 0).await;
    assert!(pair.a.reached().refused.is_empty());
}

#[tokio::test]
async fn an_idle_connection_stays_and_a_broken_one_is_broken_on_the_other_side() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let pair = Pair::new(listener.local_addr().unwrap().port()).await;
    let mut kernel = kernel(pair.port).await;
    let (mut server, _) = listener.accept().await.unwrap();
    let mut byte = [0];
    let idle = timeout(Duration::from_secs(2), kernel.read(&mut byte)).await;
    assert!(idle.is_err(), "it did not stay: {idle:?}");
    kernel.write_all(b"x").await.unwrap();
    server.read_exact(&mut byte).await.unwrap();

    rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
    drop(server);

    ends(&mut kernel).await;
}

/// What nobody reads is not taken from the one who writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_its_writer_and_takes_no_memory() {
    let listener = TcpListener::bind(loopback(0)).await.unwrap();
    let pair = Pair::new(listener.local_addr().unwrap().port()).await;
    let mut kernel = kernel(pair.port).await;
    let (mut server, _) = listener.accept().await.unwrap();
    let chunk = pattern(0, 1 << 20);

    let mut taken = 0;
    while let Ok(wrote) = timeout(Duration::from_secs(1), kernel.write(&chunk)).await {
        taken += wrote.unwrap();
        assert!(taken < 64 << 20, "{taken} bytes were taken and nobody reads them");
    }
    let passed = pair.b.exported().received;
    let held = pair.a.reached().sent - passed;
    // Both ends' buffers and records, and what the system keeps of one connection between them.
    assert!(held < 16 << 20, "{held} bytes are held");

    let mut heard = vec![0; taken];
    server.read_exact(&mut heard).await.unwrap();
    drop(kernel);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart() {
    let (server, _echo) = echo().await;
    let pair = Pair::new(server).await;
    let mut before = kernel(pair.port).await;
    said_and_heard(&mut before, b"before").await;

    let other = crate::peer::testing::authority();
    let days = crate::peer::pki::Validity::days(1);
    for node in [&pair.a, &pair.b] {
        let issued = other.issue(&node.table.node, days).unwrap();
        node.files.write(&crate::peer::testing::ca(&other), &issued);
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;

    // Of the CA before, a connection of now would be refused.
    let mut after = kernel(pair.port).await;
    said_and_heard(&mut after, b"after").await;
    said_and_heard(&mut before, b"still there").await;
    let stranger = super::world::Node::new("c", &pair.authority);
    assert_ne!(std::fs::read(stranger.table.ca).unwrap(), std::fs::read(&pair.a.table.ca).unwrap());
}
