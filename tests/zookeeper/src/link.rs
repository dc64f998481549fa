//! The wire between a client and the server: carries, is cut without a word, or refuses.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything goes through.
    Carries,
    /// Connections are taken and stay, and nothing goes through: it waits until it is healed.
    Cut,
    /// Requests go through, and answers do not: they wait until it is healed.
    Mute,
    /// No connection is served, those that were are closed.
    Refuses,
    /// Over.
    Gone,
}

/// Whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The client's.
    There,
    /// The server's.
    Back,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    open: Vec<TcpStream>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    carried: AtomicU64,
}

/// A TCP proxy to one address. Dropped, it is gone with its connections.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Link {
    /// A link to a server, which carries.
    ///
    /// # Panics
    ///
    /// Where there is no port on loopback to be had.
    #[track_caller]
    pub fn to(server: &str) -> Self {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
            Ok(listener) => listener,
            Err(error) => panic!("a link cannot listen: {error}"),
        };
        let address = match listener.local_addr() {
            Ok(address) => address,
            Err(error) => panic!("a link cannot listen: {error}"),
        };
        let state = State { mode: Mode::Carries, open: Vec::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            carried: AtomicU64::new(0),
        });
        let (server, carrier) = (server.to_owned(), Arc::clone(&shared));
        thread::spawn(move || carrier.listen(&listener, &server));
        Self { shared, address }
    }

    /// Where a client connects to instead of the server.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many bytes went through, both ways together.
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }

    /// Nothing goes through any more, and nobody is told: as a network that drops everything.
    pub fn cut(&self) {
        self.set(Mode::Cut);
    }

    /// What the client says goes through, and what the server says does not.
    pub fn mute(&self) {
        self.set(Mode::Mute);
    }

    /// Closes all connections, and each new one at once: as a server that is down.
    pub fn refuse(&self) {
        self.set(Mode::Refuses);
    }

    /// Carries again. What was held back by a cut arrives now, as TCP would bring it.
    pub fn heal(&self) {
        self.set(Mode::Carries);
    }

    fn set(&self, mode: Mode) {
        let mut state = self.shared.lock();
        state.mode = mode;
        if matches!(mode, Mode::Refuses | Mode::Gone) {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set(Mode::Gone);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while nothing goes through that way; whether it does then.
    fn carries(&self, way: Way) -> bool {
        let mut state = self.lock();
        while state.mode == Mode::Cut || (state.mode == Mode::Mute && way == Way::Back) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        matches!(state.mode, Mode::Carries | Mode::Mute)
    }

    fn listen(self: Arc<Self>, listener: &TcpListener, server: &str) {
        for client in listener.incoming() {
            let mode = self.lock().mode;
            match (mode, client) {
                (Mode::Gone, _) => return,
                (Mode::Carries | Mode::Cut | Mode::Mute, Ok(client)) => {
                    let (link, server) = (Arc::clone(&self), server.to_owned());
                    thread::spawn(move || link.connect(client, &server));
                }
                (Mode::Refuses, _) | (_, Err(_)) => {}
            }
        }
    }

    fn connect(self: Arc<Self>, client: TcpStream, server: &str) {
        if !self.carries(Way::There) {
            return;
        }
        let Ok(server) = TcpStream::connect(server) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let copies =
            (client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone());
        let (Ok(to_client), Ok(to_server), Ok(seen), Ok(also)) = copies else { return };
        self.lock().open.extend([seen, also]);
        let back = Arc::clone(&self);
        thread::spawn(move || back.carry(Way::Back, server, to_client));
        self.carry(Way::There, client, to_server);
    }

    fn carry(&self, way: Way, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if !self.carries(way) || to.write_all(&bytes[..count]).is_err() {
                break;
            }
            self.carried.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        }
        // An end is news, too: it does not pass a cut.
        self.carries(way);
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
