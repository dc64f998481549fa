//! What a machine reaches on the host: each service behind a small proxy of its own for each machine,
//! which can be cut.
//!
//! A machine's second network is QEMU's, which takes its connections to [`HOST`] to the host's loopback.
//! A cut does not touch the machine's other network, nor another machine.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

/// The host, as a machine sees it.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
/// A machine's own address there, the same for all: they do not see each other there.
pub(super) const GUEST: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 15);

/// What runs on the host for the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Ec2,
    Metadata,
    ZooKeeper,
}

/// How a service is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing is lost and nothing arrives: connections stand still, and new ones are as silent. What
    /// was sent arrives when the cut is healed, as after TCP's own repetitions.
    Silent,
    /// Connections are closed, and new ones as soon as they are made.
    HangUp,
}

/// One machine's way to one service. It is there until the test's process ends.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    gate: Arc<Gate>,
}

impl Proxy {
    pub(super) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().unwrap().port();
        let gate = Arc::new(Gate { state: Mutex::default(), changed: Condvar::new() });
        let at_gate = Arc::clone(&gate);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let gate = Arc::clone(&at_gate);
                thread::spawn(move || {
                    // An error is a side that went away.
                    let _ = connect(client, upstream, &gate);
                });
            }
        });
        Self { port, gate }
    }

    /// Where the machine finds it.
    pub(super) fn address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    pub(super) fn cut(&self, cut: Cut) {
        let mut state = self.gate.state.lock().unwrap();
        state.cut = Some(cut);
        if cut == Cut::HangUp {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.gate.changed.notify_all();
    }

    pub(super) fn heal(&self) {
        self.gate.state.lock().unwrap().cut = None;
        self.gate.changed.notify_all();
    }
}

/// What every byte has to pass.
#[derive(Debug)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    open: Vec<TcpStream>,
}

impl Gate {
    /// Waits while it is silent; an error where connections are closed.
    fn pass(&self) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let silent = |state: &mut State| state.cut == Some(Cut::Silent);
        let state = self.changed.wait_while(state, silent).unwrap();
        match state.cut {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Both ends are closed by a cut that closes.
    fn register(&self, streams: [&TcpStream; 2]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        // Those that ended long ago have no peer any more.
        state.open.retain(|stream| stream.peer_addr().is_ok());
        for stream in streams {
            state.open.push(stream.try_clone()?);
        }
        Ok(())
    }
}

fn connect(client: TcpStream, upstream: SocketAddr, gate: &Arc<Gate>) -> io::Result<()> {
    gate.pass()?;
    let server = TcpStream::connect(upstream)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    gate.register([&client, &server])?;
    let (from, to, at_gate) = (server.try_clone()?, client.try_clone()?, Arc::clone(gate));
    let back = thread::spawn(move || pump(from, to, &at_gate));
    pump(client, server, gate);
    let _ = back.join();
    Ok(())
}

/// Carries bytes one way, and the end, too.
fn pump(mut from: TcpStream, mut to: TcpStream, gate: &Gate) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer);
        if gate.pass().is_err() {
            break;
        }
        match read {
            Ok(length) if length > 0 => {
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Ok(_) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Err(_) => break,
        }
    }
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
