//! What the kernel knows of a TCP connection's other end.

use std::{
    io,
    mem::{MaybeUninit, size_of},
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// What is on its way to the other end, and when that was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flight {
    /// Segments that are not acknowledged yet.
    pub unacknowledged: u32,
    /// Questions whether it has room again that are not answered yet.
    pub probes: u8,
    /// How long ago its last acknowledgement came.
    pub heard: Duration,
}

/// Asks the kernel.
///
/// # Errors
/// Of what is no TCP socket.
pub fn flight(socket: &impl AsFd) -> io::Result<Flight> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or_default();
    let socket = socket.as_fd().as_raw_fd();
    #[expect(unsafe_code, reason = "rustix has no TCP_INFO")]
    // SAFETY: the kernel writes at most `length` bytes to a buffer that has as many, and any bytes, the zeros
    // of an older kernel's shorter answer among them, are a tcp_info.
    let info = unsafe {
        let into = info.as_mut_ptr().cast();
        if libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut length) != 0 {
            return Err(io::Error::last_os_error());
        }
        info.assume_init()
    };
    Ok(Flight {
        unacknowledged: info.tcpi_unacked,
        probes: info.tcpi_probes,
        heard: Duration::from_millis(info.tcpi_last_ack_recv.into()),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn what_is_taken_is_not_on_its_way_any_more_and_a_full_reader_is_still_heard_of() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_reader, _) = listener.accept().unwrap();
        writer.write_all(b"x").unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(flight(&writer).unwrap().unacknowledged, 0);

        writer.set_nonblocking(true).unwrap();
        while writer.write(&[0; 65536]).is_ok() {}
        std::thread::sleep(Duration::from_secs(3));

        let full = flight(&writer).unwrap();
        assert!(full.heard < Duration::from_secs(3), "its answers to probes are heard: {full:?}");
    }

    #[test]
    fn what_is_no_connection_is_an_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(flight(&file).is_err());
    }
}
