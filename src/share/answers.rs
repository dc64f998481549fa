//! Whether an NFSv4 server answers: by the call that does nothing (NULL).
//!
//! It needs no credential, no export and no session, so it says that the server runs and takes calls,
//! and nothing more.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const NFS: u32 = 100_003;
const VERSION: u32 = 4;
/// What tells our answer from another one's.
const XID: u32 = 0x6861_7773;
/// A last fragment, and its length.
const CALL: u32 = 0x8000_0000 | 40;
/// Fragment mark, xid, REPLY, MSG_ACCEPTED, an empty verifier, SUCCESS.
const ANSWER: [u32; 7] = [0x8000_0000 | 24, XID, 1, 0, 0, 0, 0];

/// Asks a server on this network's loopback, and waits: blocking, and to be called in its namespace.
///
/// # Errors
/// Whatever is not the right answer in time.
pub(super) fn null(port: u16, limit: Duration) -> io::Result<()> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut tcp = TcpStream::connect_timeout(&server, limit)?;
    tcp.set_read_timeout(Some(limit))?;
    // RPC version 2, program, version, procedure 0, and no credential twice.
    let call = [CALL, XID, 0, 2, NFS, VERSION, 0, 0, 0, 0, 0];
    tcp.write_all(&call.map(u32::to_be_bytes).concat())?;
    let mut answer = [0; 28];
    tcp.read_exact(&mut answer)?;
    if answer[..] == ANSWER.map(u32::to_be_bytes).concat() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "what answers is no NFSv4 server"))
}
