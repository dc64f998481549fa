//! What the tunnel costs the bytes that it carries: two tunnels, mutual TLS between them, and plain TCP
//! beside it, by turns.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use crate::report::{Report, Samples, median, timed};

#[path = "../../tests/tunnel/node.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod node;

use node::Cluster;

const MIB: usize = 1024;
const ROUNDS: usize = 5;
const PINGS: usize = 3000;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Measures in directories of its own.
pub(crate) fn measure(report: &mut Report) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let server = serve();
    let tunnel = a.reaches(&mut b, server);
    let pids = runtime.block_on(async { [b.apply().await.pid, a.apply().await.pid] });

    let (mut plain, mut carried, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(bulk(server));
        let before = ticks(pids);
        carried.push(bulk(tunnel));
        cpu.push((ticks(pids) - before) / MIB as f64 * 1024.0);
    }
    let (plain, carried) = (median(plain), median(carried));
    report.link("one stream, MiB/s", &format!("{plain:.0}"), &format!("{carried:.0}"));
    report.link("CPU of both tunnels for 1 GiB, s", "", &format!("{:.2}", median(cpu)));
    report.call("plain TCP: 128 bytes there and back", &pings(server));
    report.call("tunnel: 128 bytes there and back", &pings(tunnel));
    for node in [&a, &b] {
        let status = runtime.block_on(node.tunnel.status()).unwrap();
        eprintln!("{:?}", status.protection);
    }
}

/// Reads all there is and says so, or sends back what it reads, as it is asked first.
fn serve() -> u16 {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || _ = answer(stream.unwrap()));
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut kind, mut buffer) = ([0], vec![0; 1 << 20]);
    stream.read_exact(&mut kind)?;
    loop {
        match stream.read(&mut buffer)? {
            0 => return stream.write_all(b"."),
            read if kind == *b"e" => stream.write_all(&buffer[..read])?,
            _ => {}
        }
    }
}

/// MiB/s of one stream, to the server's having read it all.
fn bulk(port: u16) -> f64 {
    let mut stream = TcpStream::connect(loopback(port)).unwrap();
    let chunk = vec![7; 1 << 20];
    let time = timed(|| {
        stream.write_all(b"r").unwrap();
        for _ in 0..MIB {
            stream.write_all(&chunk).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_exact(&mut [0]).unwrap();
    });
    MIB as f64 / time.as_secs_f64()
}

fn pings(port: u16) -> Samples {
    let mut stream = TcpStream::connect(loopback(port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"e").unwrap();
    let mut text = [1; 128];
    Samples::of(PINGS, |_| {
        stream.write_all(&text).unwrap();
        stream.read_exact(&mut text).unwrap();
    })
}

/// Seconds of CPU that processes have had.
fn ticks(pids: [u32; 2]) -> f64 {
    let of = |pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<f64> =
            fields.split(' ').skip(11).take(2).map(|n| n.parse().unwrap()).collect();
        // Of a hundredth of a second each, on every Linux there is.
        fields.iter().sum::<f64>() / 100.0
    };
    pids.into_iter().map(of).sum()
}
