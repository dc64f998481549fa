//! Whether a server answers: the call that does nothing (NULL), written by hand, since the client that
//! is under test must not judge.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

pub(crate) const NFS: u32 = 100_003;
pub(crate) const MOUNT: u32 = 100_005;

/// Below what the kernel gives to clients: a port must still be free when its server is started again.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that nobody listens on.
#[track_caller]
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of several processes begin at places of their own.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = start.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

/// Calls NULL of a program on a port of this machine.
pub(crate) fn answers(port: u16, program: u32, version: u32) -> bool {
    null(port, program, version).is_ok_and(|accepted| accepted)
}

fn null(port: u16, program: u32, version: u32) -> io::Result<bool> {
    let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    tcp.set_read_timeout(Some(Duration::from_secs(1)))?;
    // Record mark, xid, CALL, RPC 2, program, version, procedure, and no credential twice.
    let words = [0x8000_0028, 0x6861_7773, 0, 2, program, version, 0, 0, 0, 0, 0];
    let call: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    tcp.write_all(&call)?;
    let mut answer = [0; 28];
    tcp.read_exact(&mut answer)?;
    // The last word: the call was accepted and carried out.
    Ok(answer[24..] == [0; 4])
}
