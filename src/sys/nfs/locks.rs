//! Whether locks of an NFSv3 mount would hold across nodes.
//!
//! The kernel does not say it at mount time: it mounts with `lock` as soon as a local rpcbind takes
//! its registration, and only a task's first lock fails (`ENOLCK`) without a statd here, or without
//! a lock manager there. So the three are asked for beforehand, as mount.nfs(8) asks for statd.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const RPCBIND: u16 = 111;
/// An rpcbind answers from memory.
const LIMIT: Duration = Duration::from_secs(3);
/// Longer than any answer that is one.
const ANSWER_LIMIT: u32 = 1024;

/// The program (and its version) that watches which hosts restart.
const STATD: (u32, u32) = (100_024, 1);
/// The lock manager, in the version that goes with NFSv3.
const NLM: (u32, u32) = (100_021, 4);

/// What is missing for locks that hold across nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// The kernel's lock manager cannot register itself.
    #[error("no rpcbind answers on this node (127.0.0.1, port 111)")]
    LocalRpcbind,
    /// Locks of a host that restarts would never be freed.
    #[error("rpc.statd does not run on this node")]
    LocalStatd,
    /// The kernel cannot find the server's lock manager.
    #[error("no rpcbind answers on the server (port 111)")]
    ServerRpcbind,
    /// There is none.
    #[error("the server has no lock manager")]
    ServerLockManager,
}

/// Whether the local and the server's side of locking are there.
pub(super) async fn across_nodes(server: IpAddr) -> Result<(), Lacking> {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, RPCBIND));
    check(local, SocketAddr::from((server, RPCBIND))).await
}

pub(super) async fn check(local: SocketAddr, server: SocketAddr) -> Result<(), Lacking> {
    match timeout(LIMIT, is_registered(local, STATD)).await {
        Ok(Some(true)) => {}
        Ok(Some(false)) => return Err(Lacking::LocalStatd),
        Ok(None) | Err(_) => return Err(Lacking::LocalRpcbind),
    }
    match timeout(LIMIT, is_registered(server, NLM)).await {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(Lacking::ServerLockManager),
        Ok(None) | Err(_) => Err(Lacking::ServerRpcbind),
    }
}

/// Asks an rpcbind for a program on TCP; `None` where there is no answer that makes sense.
async fn is_registered(rpcbind: SocketAddr, program: (u32, u32)) -> Option<bool> {
    let mut connection = TcpStream::connect(rpcbind).await.ok()?;
    let (call, is_there): (_, fn(u32) -> bool) = match rpcbind {
        // The port, or 0.
        SocketAddr::V4(_) => (get_port(program), |port| port != 0),
        // The length of an address, such as `::.8.1`.
        SocketAddr::V6(_) => (get_address(program), |length| length != 0),
    };
    connection.write_all(&framed(&call)?).await.ok()?;
    let length = connection.read_u32().await.ok()? & !LAST_FRAGMENT;
    if length > ANSWER_LIMIT {
        return None;
    }
    let mut answer = vec![0; usize::try_from(length).ok()?];
    connection.read_exact(&mut answer).await.ok()?;
    result(&answer).map(is_there)
}

const LAST_FRAGMENT: u32 = 1 << 31;

/// RFC 5531: record marking.
fn framed(call: &[u32]) -> Option<Vec<u8>> {
    let length = u32::try_from(call.len() * 4).ok()?;
    let words = [&[length | LAST_FRAGMENT], call].concat();
    Some(words.into_iter().flat_map(u32::to_be_bytes).collect())
}

/// The head of a call to rpcbind, without credentials. One call per connection: any id will do.
const fn head(version: u32, procedure: u32) -> [u32; 10] {
    const ID: u32 = 1;
    const CALL: u32 = 0;
    const RPC: u32 = 2;
    const PROGRAM: u32 = 100_000;
    [ID, CALL, RPC, PROGRAM, version, procedure, 0, 0, 0, 0]
}

/// RFC 1833, section 3: PMAPPROC_GETPORT.
fn get_port((program, version): (u32, u32)) -> Vec<u32> {
    const TCP: u32 = 6;
    [&head(2, 3)[..], &[program, version, TCP, 0]].concat()
}

/// RFC 1833, section 2: RPCBPROC_GETADDR, since the older call knows IPv4 only.
fn get_address((program, version): (u32, u32)) -> Vec<u32> {
    let netid = [4, u32::from_be_bytes(*b"tcp6")];
    let no_address_no_owner = [0, 0];
    [&head(3, 3)[..], &[program, version], &netid, &no_address_no_owner].concat()
}

/// The first word of an accepted call's result.
fn result(answer: &[u8]) -> Option<u32> {
    let word =
        |at: usize| Some(u32::from_be_bytes(answer.get(at * 4..at * 4 + 4)?.try_into().ok()?));
    // Id; reply, accepted; an empty verifier (flavour, length); success.
    if (word(1)?, word(2)?, word(4)?, word(5)?) == (1, 0, 0, 0) { word(6) } else { None }
}
