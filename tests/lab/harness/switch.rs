//! The network between the machines: an Ethernet switch in the test's own process.
//!
//! QEMU hands over frames on a Unix socket, each behind its length. So the network needs no privilege,
//! no device and no port of the host, and is gone with the test. Multicast between QEMUs needs no code
//! at all, but loses frames under load, and a TCP connection then takes seconds for milliseconds.
//!
//! Frames for a machine that does not take them (it is paused) are dropped, as a switch does. So are
//! those between two machines that are cut off from each other.

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Frames that wait for one machine.
const QUEUE: usize = 1024;
/// Far more than an offloaded segment of 64 KiB.
const LONGEST: usize = 1 << 18;

type Address = [u8; 6];
type Frame = Arc<[u8]>;

#[derive(Default)]
struct Ports {
    queues: HashMap<usize, SyncSender<Frame>>,
    /// Behind which port an address was last seen.
    learned: HashMap<Address, usize>,
    /// Pairs of addresses between which nothing passes, in both orders.
    cut: HashSet<(Address, Address)>,
}

impl Ports {
    /// Whether nothing of this sender goes to whatever is behind the port.
    fn is_cut(&self, sender: Address, port: usize) -> bool {
        self.learned.iter().any(|(to, at)| *at == port && self.cut.contains(&(sender, *to)))
    }
}

/// The switch, which serves until the test's process ends.
#[derive(Clone)]
pub(super) struct Switch(Arc<Mutex<Ports>>);

impl Switch {
    /// Lets nothing pass between these two machines any more.
    pub(super) fn cut(&self, one: u8, other: u8) {
        let (one, other) = (address_of(one), address_of(other));
        self.0.lock().unwrap().cut.extend([(one, other), (other, one)]);
    }

    /// Lets everything pass again.
    pub(super) fn heal(&self, one: u8, other: u8) {
        let (one, other) = (address_of(one), address_of(other));
        let pairs = [(one, other), (other, one)];
        self.0.lock().unwrap().cut.retain(|pair| !pairs.contains(pair));
    }
}

/// The Ethernet address of the machine with this number.
pub(super) const fn address_of(number: u8) -> Address {
    [0x52, 0x54, 0x00, 0x6c, 0x61, number]
}

/// Serves this socket.
pub(super) fn start(socket: &Path) -> Switch {
    let listener = UnixListener::bind(socket).expect("the switch's socket can be made");
    let ports = Arc::new(Mutex::new(Ports::default()));
    let switch = Switch(Arc::clone(&ports));
    thread::spawn(move || {
        for (port, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let (queue, frames) = sync_channel(QUEUE);
            ports.lock().unwrap().queues.insert(port, queue);
            let writer = stream.try_clone().unwrap();
            thread::spawn(move || deliver(writer, &frames));
            let ports = Arc::clone(&ports);
            thread::spawn(move || {
                // Ends when the machine's QEMU does.
                let _ = accept(port, stream, &ports);
                let mut ports = ports.lock().unwrap();
                ports.queues.remove(&port);
                ports.learned.retain(|_, at| *at != port);
            });
        }
    });
    switch
}

fn accept(port: usize, stream: UnixStream, ports: &Mutex<Ports>) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(LONGEST, stream);
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if !(14..=LONGEST).contains(&length) {
            return Err(io::Error::other("not a frame"));
        }
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame)?;
        forward(port, frame.into(), &mut ports.lock().unwrap());
    }
}

fn forward(from: usize, frame: Frame, ports: &mut Ports) {
    let address = |at: usize| -> Address { frame[at..at + 6].try_into().unwrap() };
    let (to, sender) = (address(0), address(6));
    ports.learned.insert(sender, from);
    match ports.learned.get(&to) {
        Some(_) if ports.cut.contains(&(sender, to)) => {}
        Some(to) => {
            if let Some(queue) = ports.queues.get(to) {
                let _ = queue.try_send(frame);
            }
        }
        // To all, or to one that said nothing yet.
        None => {
            for (port, queue) in ports.queues.iter().filter(|(port, _)| **port != from) {
                if !ports.is_cut(sender, *port) {
                    let _ = queue.try_send(Arc::clone(&frame));
                }
            }
        }
    }
}

fn deliver(mut stream: UnixStream, frames: &Receiver<Frame>) {
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length, &*frame].concat()).is_err() {
            return;
        }
    }
}
