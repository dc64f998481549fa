//! What a well server never does to a connection: between it and the client stands a proxy that loses
//! answers, cuts them, splits them, or says something else.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// What becomes of answers.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// One in so many is thrown away with its connection, after the server has done the work.
    LoseOneIn(usize),
    /// The connection is closed in the middle of each.
    Cut,
    /// Each comes in fragments of a few bytes.
    Split,
    /// None comes.
    Silence,
    /// Something else comes.
    Say(&'static [u8]),
    /// The bytes of each after its xid are these.
    Garble(u8),
}

const LAST: u32 = 1 << 31;

/// Listens on a port, and hands calls on to another.
async fn proxy(to: u16, fault: Fault) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(1));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move { serve(client, to, fault, &count).await.ok() });
        }
    });
    port
}

async fn serve(
    mut client: TcpStream,
    to: u16,
    fault: Fault,
    count: &AtomicUsize,
) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
    loop {
        let call = record(&mut client).await?;
        send(&mut server, &call).await?;
        let answer = record(&mut server).await?;
        let number = count.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::LoseOneIn(many) if number.is_multiple_of(many) => return Ok(()),
            Fault::LoseOneIn(_) => send(&mut client, &answer).await?,
            Fault::Cut => {
                let length = u32::try_from(answer.len()).unwrap() | LAST;
                client.write_u32(length).await?;
                return client.write_all(&answer[..answer.len() / 2]).await;
            }
            Fault::Split => {
                let pieces: Vec<_> = answer.chunks(7).collect();
                for (index, piece) in pieces.iter().enumerate() {
                    let last = if index + 1 == pieces.len() { LAST } else { 0 };
                    client.write_u32(u32::try_from(piece.len()).unwrap() | last).await?;
                    client.write_all(piece).await?;
                }
            }
            Fault::Silence => {}
            Fault::Say(bytes) => client.write_all(bytes).await?,
            Fault::Garble(byte) => {
                let mut garbled = answer;
                garbled[4..].fill(byte);
                send(&mut client, &garbled).await?;
            }
        }
    }
}

async fn record(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let header = from.read_u32().await?;
    assert!(header & LAST != 0);
    let mut bytes = vec![0; (header & !LAST) as usize];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(to: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut record = (u32::try_from(bytes.len()).unwrap() | LAST).to_be_bytes().to_vec();
    record.extend_from_slice(bytes);
    to.write_all(&record).await
}

/// A client whose calls of NFS go through the proxy.
async fn open(filer: &Filer, fault: Fault) -> NfsV3 {
    let port = proxy(filer.server.port(), fault).await;
    NfsV3::new(ServerConfig { port: Some(port), call_timeout: short(), ..filer.config() })
}

#[tokio::test]
async fn operations_succeed_though_answers_get_lost() {
    let filer = Filer::new();
    let tree = open(&filer, Fault::LoseOneIn(5)).await;
    for n in 0..10 {
        let (from, to) = (format!("app-{n}"), format!("trash-{n}"));
        tree.make_dir(&from, 0o700).await.unwrap();
        tree.set_owner(&from, Owner { uid: Some(9), ..Owner::default() }).await.unwrap();
        tree.write(&format!("{from}/f"), from.as_bytes()).await.unwrap();
        assert_eq!(tree.read(&format!("{from}/f"), 99).await.unwrap().unwrap(), from.as_bytes());
        tree.rename(&from, &to).await.unwrap();
        assert_eq!(tree.kind(&from).await.unwrap(), None);
        let names: Vec<_> = tree.list(&to).await.unwrap();
        assert_eq!(names, [Entry { name: "f".into(), kind: Kind::File }]);
        assert_eq!(tree.measure(&to, FAST).await.unwrap().files, 1);
        assert_eq!(tree.remove_tree(&to).await.unwrap(), Removed { files: 1, directories: 1 });
    }
    assert_eq!(tree.list("").await.unwrap(), []);
}

#[tokio::test]
async fn answers_in_fragments_are_put_together() {
    let filer = Filer::new();
    let tree = open(&filer, Fault::Split).await;
    tree.write("f", &[7; 100_000]).await.unwrap();
    assert_eq!(tree.read("f", 100_000).await.unwrap().unwrap(), [7; 100_000]);
    assert_eq!(tree.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_connection_closed_within_an_answer_is_lost() {
    let filer = Filer::new();
    let tree = open(&filer, Fault::Cut).await;
    let begun = Instant::now();
    let cause = cause(tree.kind("a").await);
    assert!(matches!(&cause, Cause::Unreachable(_)), "{cause}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let filer = Filer::new();
    let tree = open(&filer, Fault::Silence).await;
    let begun = Instant::now();
    assert!(matches!(cause(tree.kind("a").await), Cause::Unreachable(_)));
    let elapsed = begun.elapsed();
    assert!(elapsed >= short() && elapsed < short() * 2, "{elapsed:?}");
}

#[tokio::test]
async fn what_is_no_nfs_is_said_to_be_none() {
    let filer = Filer::new();
    for words in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        // An answer to nobody's call, and one without an end.
        &[0x80, 0, 0, 8, 1, 2, 3, 4, 0, 0, 0, 1],
        &[0x80, 0, 0, 4, 1, 2, 3, 4],
    ] {
        let tree = open(&filer, Fault::Say(words)).await;
        let cause = cause(tree.kind("a").await);
        assert!(matches!(cause, Cause::Protocol(_)), "{cause}");
    }
}

#[tokio::test]
async fn garbage_in_an_answer_is_an_error() {
    let filer = Filer::new();
    for byte in [1, 2, 0x7f, 0x80, 0xff] {
        let tree = open(&filer, Fault::Garble(byte)).await;
        let cause = cause(tree.kind("a").await);
        assert!(matches!(cause, Cause::Protocol(_)), "{byte}: {cause}");
    }
}

#[tokio::test]
async fn ports_are_asked_of_the_portmapper() {
    let filer = Filer::new();
    let portmapper = portmapper(filer.server.port(), filer.server.mount_port()).await;
    let (port, mount_port, portmapper_port) = (None, None, portmapper);
    let config = ServerConfig { port, mount_port, portmapper_port, ..filer.config() };
    let tree = NfsV3::new(config.clone());
    tree.probe().await.unwrap();
    tree.make_dir("a", 0o700).await.unwrap();

    let portmapper_port = self::portmapper(0, filer.server.mount_port()).await;
    let config = ServerConfig { portmapper_port, ..config };
    let cause = cause(NfsV3::new(config).probe().await);
    assert!(matches!(&cause, Cause::Unreachable(why) if why.contains("portmapper")), "{cause}");
}

/// A portmapper that knows two programs.
async fn portmapper(nfs: u16, mount: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(call) = record(&mut client).await else { continue };
            // What is asked for are the last four words: program, version, protocol, port.
            let program = &call[call.len() - 16..call.len() - 12];
            let port = if *program == 100_003u32.to_be_bytes() { nfs } else { mount };
            let mut answer = call[..4].to_vec();
            for word in [1, 0, 0, 0, 0, u32::from(port)] {
                answer.extend_from_slice(&u32::to_be_bytes(word));
            }
            send(&mut client, &answer).await.ok();
        }
    });
    own
}

#[tokio::test]
async fn a_call_that_is_given_up_does_not_confuse_the_next() {
    let filer = Filer::new();
    let tree = filer.open();
    for n in 0..4u8 {
        tree.write(&format!("f{n}"), &[n; 20_000]).await.unwrap();
    }
    let mut given_up = 0;
    for round in 0..400u64 {
        let wanted = (round % 4).to_le_bytes()[0];
        let path = format!("f{wanted}");
        given_up += u64::from(give_up_after(round % 11, tree.read(&path, 20_000)).await);
        let bytes = tree.read(&path, 20_000).await.unwrap().unwrap();
        assert_eq!(bytes, [wanted; 20_000]);
    }
    assert!(given_up > 50, "{given_up} calls were given up: too few to prove anything");
}

/// Drops a future when it has waited so often, or when it goes on after that; says whether it did.
async fn give_up_after<F: Future>(waits: u64, future: F) -> bool {
    let mut future = std::pin::pin!(future);
    let mut left = waits / 2;
    poll_fn(|context| {
        if left == 0 && waits.is_multiple_of(2) {
            return Poll::Ready(true);
        }
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(false);
        }
        if left == 0 {
            return Poll::Ready(true);
        }
        left -= 1;
        Poll::Pending
    })
    .await
}
