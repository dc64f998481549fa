//! What the kernel still has of NFS after it was unmounted: a file system lives as long as anybody uses it,
//! and until what is dirty was written.

use std::{fs, io};

/// The file systems of the calling thread's network, as the client lists them.
const VOLUMES: &str = "/proc/thread-self/net/nfsfs/volumes";

/// Whether there is any at this port of the server. To be called in the network that it was mounted in.
///
/// # Errors
/// Not knowing is an error. A kernel whose client was never loaded has none.
pub fn is_left(port: u16) -> io::Result<bool> {
    match fs::read_to_string(VOLUMES) {
        Ok(listed) => Ok(lists(&listed, port)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// `NV SERVER PORT DEV FSID FSC`; the port is hexadecimal.
fn lists(listed: &str, port: u16) -> bool {
    let of = |line: &str| u16::from_str_radix(line.split_whitespace().nth(2)?, 16).ok();
    listed.lines().skip(1).any(|line| of(line) == Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_is_known_by_its_servers_port() {
        // As fs/nfs/client.c writes them.
        let listed = "NV SERVER   PORT DEV          FSID                              FSC\n\
            v4 7f000001 2afb 0:41         0:0                               no \n\
            v4 7f000001  801 0:42         9a8f3c52ddbd1e5f:0                no \n";
        assert!(lists(listed, 0x2afb) && lists(listed, 2049));
        assert!(!lists(listed, 0x7f00) && !lists("", 2049));
    }
}
