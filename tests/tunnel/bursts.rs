//! Calls and answers as NFS has them: many under way at once, of all sizes, in bursts, on one connection.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{channel, sync_channel},
    thread,
    time::Duration,
};

use super::{loopback, node::Cluster};

const CALLS: u32 = 3000;
/// As many as the kernel's client has under way.
const SLOTS: usize = 64;
/// Bytes: more than all buffers between the two take.
const LARGEST: u32 = 256 << 10;

/// A call says how long it is itself, and its answer: each of the two any size, most of them small.
fn size(of: u32) -> u32 {
    let mixed = of.wrapping_mul(2_654_435_761) >> 7;
    if mixed.is_multiple_of(4) { mixed % LARGEST } else { mixed % 600 }
}

/// Reads calls as they come and answers in order, from another thread.
fn server() -> u16 {
    let listener = TcpListener::bind(loopback(0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut reads, mut writes) = halves(stream.unwrap());
            let (send, answers) = channel();
            thread::spawn(move || {
                for answer in answers {
                    if writes.write_all(&vec![0; answer]).is_err() {
                        return;
                    }
                }
            });
            thread::spawn(move || {
                let mut head = [0; 8];
                let mut rest = vec![0; LARGEST as usize];
                while reads.read_exact(&mut head).is_ok() {
                    let [call, answer] = [&head[..4], &head[4..]]
                        .map(|size| u32::from_be_bytes(size.try_into().unwrap()) as usize);
                    reads.read_exact(&mut rest[..call]).unwrap();
                    send.send(answer).unwrap();
                }
            });
        }
    });
    port
}

fn halves(stream: TcpStream) -> (TcpStream, TcpStream) {
    stream.set_nodelay(true).unwrap();
    (stream.try_clone().unwrap(), stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_answers_of_all_sizes_that_cross_each_other_do_not_stand_still() {
    let cluster = Cluster::new();
    let (mut a, mut b) = (cluster.node("a"), cluster.node("b"));
    let port = a.reaches(&mut b, server());
    b.apply().await;
    a.apply().await;

    let (mut reads, mut writes) = halves(TcpStream::connect(loopback(port)).unwrap());
    reads.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (slot, slots) = sync_channel(SLOTS);
    let caller = thread::spawn(move || {
        for number in 0..CALLS {
            slot.send(size(number + CALLS)).unwrap();
            let head = [size(number), size(number + CALLS)].map(u32::to_be_bytes).concat();
            let call = [head, vec![0; size(number) as usize]].concat();
            writes.write_all(&call).unwrap();
        }
        writes
    });
    let mut rest = vec![0; LARGEST as usize];
    for number in 0..CALLS {
        let answer = slots.recv().unwrap() as usize;
        let read = reads.read_exact(&mut rest[..answer]);
        read.unwrap_or_else(|error| panic!("the answer to call {number} of {CALLS}: {error}"));
    }
    drop(caller.join().unwrap());
}
