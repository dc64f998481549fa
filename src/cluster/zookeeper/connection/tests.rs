//! A server that is slow, and one that is silent. They speak just enough of the protocol for that.

use tokio::net::TcpListener;

use super::*;

const SESSION: Duration = Duration::from_secs(60);

/// A server that greets, and answers so many requests, each after a while. Its address.
async fn server(answers: usize, each_after: Duration) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_frame(&mut stream).await.unwrap();
        let milliseconds = i32::try_from(SESSION.as_millis()).unwrap();
        let greeting = Out::default().int(0).int(milliseconds).long(1).bytes(&[0; 16]).done();
        stream.write_all(&Out::default().bytes(&greeting).done()).await.unwrap();
        let mut left = answers;
        // Until the client is gone.
        while let Ok(frame) = read_frame(&mut stream).await {
            let xid = In::new(&frame).int().unwrap();
            if xid != XID_PING {
                if left == 0 {
                    continue;
                }
                left -= 1;
                tokio::time::sleep(each_after).await;
            }
            let answer = Out::default().int(xid).long(1).int(0).done();
            if stream.write_all(&Out::default().bytes(&answer).done()).await.is_err() {
                return;
            }
        }
    });
    address
}

async fn connect(address: &str) -> Connection {
    let opening = Opening {
        address,
        ticket: None,
        session_timeout: SESSION,
        digest: None,
        seen: &Arc::default(),
    };
    Connection::open(opening).await.unwrap().unwrap().0
}

#[tokio::test]
async fn a_request_behind_many_others_is_waited_for_while_they_are_answered() {
    let each_after = PATIENCE * 2 / 3;
    let connection = connect(&server(3, each_after).await).await;
    let begun = Instant::now();
    let (first, second, third) =
        tokio::join!(connection.sync("/"), connection.sync("/"), connection.sync("/"));
    assert!(first.is_ok() && second.is_ok() && third.is_ok(), "{first:?} {second:?} {third:?}");
    assert!(begun.elapsed() > PATIENCE, "none waited for long");
}

#[tokio::test]
async fn a_server_that_answers_no_more_is_given_up_though_it_shows_signs_of_life() {
    let connection = connect(&server(1, Duration::ZERO).await).await;
    connection.sync("/").await.unwrap();
    let begun = Instant::now();
    let failure = connection.sync("/").await.unwrap_err();
    assert!(matches!(failure, Failure::Lost(_)), "{failure:?}");
    assert!(begun.elapsed() >= PATIENCE && begun.elapsed() < PATIENCE * 5, "{:?}", begun.elapsed());
    assert!(connection.has_ended());
}
