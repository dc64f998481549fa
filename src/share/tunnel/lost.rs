//! The end of a way that leads nowhere any more: this node's claim to write to the volume is lost.
//!
//! The kernel asks for what tasks have open until it is answered, and would do so for ever: the owner takes
//! nothing from this node. So each call is answered here with an error of RPC's own (RFC 5531, `SYSTEM_ERR`), which
//! the client takes for an I/O error: tasks are told, open files close, and what was not written is dropped.
//! Nothing else of a call is looked at.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};

/// Of a record's mark: it is the call's last one.
const LAST: u32 = 1 << 31;
const REPLY: u32 = 1;
const ACCEPTED: u32 = 0;
const NO_VERIFIER: [u32; 2] = [0, 0];
const SYSTEM_ERR: u32 = 5;

/// Answers each call, until the kernel ends the connection.
pub(super) async fn refuse(kernel: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    loop {
        let call = match number(kernel).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            call => call?,
        };
        let [flavor, length] = NO_VERIFIER;
        let reply = [call, REPLY, ACCEPTED, flavor, length, SYSTEM_ERR];
        let mark = LAST | u32::try_from(size_of_val(&reply)).map_err(io::Error::other)?;
        let words: Vec<u8> =
            [mark].iter().chain(&reply).flat_map(|word| word.to_be_bytes()).collect();
        kernel.write_all(&words).await?;
    }
}

/// The number of the next call, which is read to its end and thrown away.
async fn number(kernel: &mut (impl AsyncRead + Unpin)) -> io::Result<u32> {
    let mut mark = kernel.read_u32().await?;
    let number = kernel.read_u32().await?;
    let mut left = u64::from(mark & !LAST).checked_sub(4);
    loop {
        let rest = left.ok_or_else(|| io::Error::other("not a call"))?;
        let skipped = copy(&mut kernel.take(rest), &mut sink()).await?;
        if skipped < rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if mark & LAST != 0 {
            return Ok(number);
        }
        mark = kernel.read_u32().await?;
        left = Some(u64::from(mark & !LAST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(last: bool, bytes: &[u8]) -> Vec<u8> {
        let mark = u32::try_from(bytes.len()).unwrap() | if last { LAST } else { 0 };
        [&mark.to_be_bytes(), bytes].concat()
    }

    #[tokio::test]
    async fn each_call_is_answered_with_an_error_under_its_number_however_it_is_cut_into_records() {
        let (mut kernel, mut here) = tokio::io::duplex(64);
        let refusing = tokio::spawn(async move { refuse(&mut here).await });
        let calls = [
            record(true, b"\0\0\0\x07 and a call"),
            [record(false, b"\0\0\0\x08 begins"), record(false, b""), record(true, b" ends")]
                .concat(),
        ];
        for (call, number) in calls.iter().zip(7..) {
            kernel.write_all(call).await.unwrap();
            let mut reply = [0; 7];
            for word in &mut reply {
                *word = kernel.read_u32().await.unwrap();
            }
            assert_eq!(reply, [LAST | 24, number, 1, 0, 0, 0, 5]);
        }
        drop(kernel);
        refusing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_no_call_ends_the_connection() {
        let (mut kernel, mut here) = tokio::io::duplex(64);
        kernel.write_all(&record(true, b"\0\0")).await.unwrap();
        kernel.write_all(b"and more").await.unwrap();
        assert!(refuse(&mut here).await.is_err());
    }
}
