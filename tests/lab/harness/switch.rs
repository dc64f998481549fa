//! The network between the machines: an Ethernet switch in the test's own process.
//!
//! QEMU hands over frames on a Unix socket, each behind its length. So the network needs no privilege,
//! no device and no port of the host, and is gone with the test. Multicast between QEMUs needs no code
//! at all, but loses frames under load, and a TCP connection then takes seconds for milliseconds.
//!
//! Frames for a machine that does not take them (it is paused) are dropped, as a switch does.

use std::{
    collections::HashMap,
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
}

/// Serves this socket until the test's process ends.
pub(crate) fn start(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("the switch's socket can be made");
    let ports = Arc::new(Mutex::new(Ports::default()));
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
    ports.learned.insert(address(6), from);
    match ports.learned.get(&address(0)) {
        Some(to) => {
            if let Some(queue) = ports.queues.get(to) {
                let _ = queue.try_send(frame);
            }
        }
        // To all, or to one that said nothing yet.
        None => {
            for (_, queue) in ports.queues.iter().filter(|(port, _)| **port != from) {
                let _ = queue.try_send(Arc::clone(&frame));
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
