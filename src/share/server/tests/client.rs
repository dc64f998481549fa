//! An NFSv4.1 client of a few calls: those after which a server has noted it, and one that wants room.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
};

use super::*;

/// A client that has a session, and has nothing to reclaim.
pub(super) struct Client {
    stream: TcpStream,
    session: Vec<u8>,
    sequence: u32,
}

/// The results of the first operation begin after the status, an empty tag, the count, and the
/// operation's number and status.
const FIRST: usize = 20;

impl Client {
    /// As the kernel of a host of this name.
    pub(super) fn of(server: &Server, host: &str) -> Self {
        let port = server.port;
        let stream = server.netns.run(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        let mut client =
            Self { stream: stream.unwrap().unwrap(), session: Vec::new(), sequence: 0 };
        let verifier = uuid::Uuid::new_v4().as_bytes()[..8].to_vec();
        let owner = opaque(format!("Linux NFSv4.2 {host}").as_bytes());
        let exchange_id = [words(&[42]), verifier, owner, words(&[0, 0, 0])].concat();
        let (status, answer) = client.call(&exchange_id, 1);
        assert_eq!(status, 0, "EXCHANGE_ID");
        let id = &answer[FIRST..FIRST + 12];
        let channel = words(&[0, 65_536, 65_536, 8_192, 16, 8, 0]);
        let end = words(&[0x4000_0000, 1, 0]);
        let create_session = [&words(&[43]), id, &words(&[0]), &channel, &channel, &end].concat();
        let (status, answer) = client.call(&create_session, 1);
        assert_eq!(status, 0, "CREATE_SESSION");
        client.session = answer[FIRST..FIRST + 16].to_vec();
        assert_eq!(client.compound(&words(&[58, 0]), 1), 0, "RECLAIM_COMPLETE");
        client
    }

    /// Makes a directory in the export as root: its status.
    pub(super) fn make_directory(&mut self, volume: &uuid::Uuid, name: &str) -> u32 {
        const DIRECTORY: u32 = 2;
        let root = words(&[24, 15]);
        let export = opaque(volume.to_string().as_bytes());
        let made = [words(&[6, DIRECTORY]), opaque(name.as_bytes()), words(&[0, 0])].concat();
        self.compound(&[root, export, made].concat(), 3)
    }

    fn compound(&mut self, operations: &[u8], count: u32) -> u32 {
        self.sequence += 1;
        let sequence =
            [words(&[53]), self.session.clone(), words(&[self.sequence, 0, 0, 0])].concat();
        self.call(&[&sequence, operations].concat(), count + 1).0
    }

    fn call(&mut self, operations: &[u8], count: u32) -> (u32, Vec<u8>) {
        let root = [words(&[0]), opaque(b"host"), words(&[0, 0, 0])].concat();
        let header = words(&[1, 0, 2, 100_003, 4, 1, 1]);
        let rest = words(&[0, 0, 0, 1, count]);
        let message = [&header, &opaque(&root), &rest, operations].concat();
        let mark = 0x8000_0000 | u32::try_from(message.len()).unwrap();
        self.stream.write_all(&[words(&[mark]), message].concat()).unwrap();
        let mut mark = [0; 4];
        self.stream.read_exact(&mut mark).unwrap();
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(mark) & 0x7fff_ffff).unwrap()];
        self.stream.read_exact(&mut answer).unwrap();
        let compound = answer.split_off(24);
        (u32::from_be_bytes(compound[..4].try_into().unwrap()), compound)
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn opaque(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    let padding = vec![0; bytes.len().next_multiple_of(4) - bytes.len()];
    [words(&[length]), bytes.to_vec(), padding].concat()
}
