//! What is said on a connection between two tunnels before the first byte of the volume.
//!
//! ```text
//! TLS 1.3, both with certificates, ALPN `hawser-tunnel/1`
//! caller ─▶ length (2 bytes, big-endian) {"volume": "<uuid>", "epoch": 7, "node": "a"}
//! owner  ─▶ length (2 bytes, big-endian) {"answer": "welcome"}
//!                                     or {"answer": "refused", "reason": "old_epoch", "text": "…"}
//! then the bytes of NFS, both ways
//! ```
//!
//! The ALPN's number is the version of this: what cannot be read by the other end needs another one.

use std::{fmt, io};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::volume::{Epoch, NodeName, VolumeId};

/// The protocol's name, which both ends must agree on.
pub(super) const ALPN: &[u8] = b"hawser-tunnel/1";

/// The longest message: names have at most 63 bytes, and reasons are sentences.
const LONGEST: u16 = 2048;

/// What the caller wants. It must prove by its certificate that it is that node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) volume: VolumeId,
    pub(super) epoch: Epoch,
    pub(super) node: NodeName,
}

/// What the owner says to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Answer {
    Welcome,
    Refused { reason: Refusal, text: String },
}

/// Why a connection carries nothing; each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The owner is not reached.
    Unreachable,
    /// One end does not believe the other.
    Untrusted,
    /// The handshake or the hello was late, or cut off, or something else.
    Hello,
    /// The caller's certificate is not for the node that it says it is.
    WrongNode,
    /// That volume is not exported here.
    UnknownVolume,
    /// The caller means an owner of the past.
    OldEpoch,
    /// The caller knows of a later owner than the one that it called.
    NewEpoch,
    /// Another node has the writer claim.
    NotTheWriter,
    /// There are too many connections.
    Busy,
    /// The volume's NFS server does not answer.
    NoServer,
    /// A reason that a later hawser has.
    #[serde(other)]
    Other,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
            Self::Hello => "hello",
            Self::WrongNode => "wrong_node",
            Self::UnknownVolume => "unknown_volume",
            Self::OldEpoch => "old_epoch",
            Self::NewEpoch => "new_epoch",
            Self::NotTheWriter => "not_the_writer",
            Self::Busy => "busy",
            Self::NoServer => "no_server",
            Self::Other => "other",
        })
    }
}

/// Sends a message.
pub(super) async fn send<S: AsyncWrite + Unpin>(
    stream: &mut S,
    message: &(impl Serialize + Sync),
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u16::try_from(text.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| invalid(format!("a message of {} bytes", text.len())))?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend(text);
    stream.write_all(&whole).await?;
    stream.flush().await
}

/// Reads a message, and not a byte more.
pub(super) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let length = stream.read_u16().await?;
    if length > LONGEST {
        return Err(invalid(format!("a message of {length} bytes")));
    }
    let mut text = vec![0; usize::from(length)];
    stream.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_read_to_its_end_and_no_further() {
        let hello =
            Hello { volume: VolumeId::random(), epoch: 7.into(), node: "a".parse().unwrap() };
        let mut wire = Vec::new();
        send(&mut wire, &hello).await.unwrap();
        wire.extend(b"NFS");
        let mut rest = wire.as_slice();
        assert_eq!(receive::<Hello>(&mut rest).await.unwrap(), hello);
        assert_eq!(rest, b"NFS");
    }

    #[tokio::test]
    async fn what_is_too_long_or_cut_off_is_an_error_before_it_takes_memory() {
        let long = [0xff, 0xff, b'{'];
        let error = receive::<Hello>(&mut long.as_slice()).await.unwrap_err();
        assert!(error.to_string().contains("65535 bytes"), "{error}");
        let cut = [0, 9, b'{'];
        assert!(receive::<Hello>(&mut cut.as_slice()).await.is_err());
        let nonsense = [0, 2, b'{', b'}'];
        assert!(receive::<Hello>(&mut nonsense.as_slice()).await.is_err());
    }

    #[test]
    fn a_reason_of_a_later_hawser_is_understood_as_one() {
        let text = r#"{"answer": "refused", "reason": "frozen", "text": "it is frozen"}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        assert_eq!(
            answer,
            Answer::Refused { reason: Refusal::Other, text: "it is frozen".to_owned() }
        );
    }
}
