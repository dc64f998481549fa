//! Which machine this is, and what it is called.

use std::fs;

use sha2::{Digest, Sha256};

/// Where systemd and D-Bus keep it: machine-id(5).
const FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// An id of this machine, made of its machine id, which machine-id(5) wants to be shown to nobody.
/// `None` where it has none, as in a container.
#[must_use]
pub fn id() -> Option<String> {
    let read = |file: &&str| fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
    let machine = FILES.iter().filter_map(read).find(|text| !text.is_empty())?;
    let digest = Sha256::digest(format!("hawser {machine}"));
    Some(hex::encode(&digest[..16]))
}

/// The host's name, as uname(2) tells it.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_always_the_same_and_not_the_machine_id_itself() {
        let known = |file: &&str| fs::read_to_string(file).unwrap_or_default().trim().to_owned();
        let files: Vec<_> = FILES.iter().map(known).collect();
        match id() {
            Some(machine) => {
                assert_eq!(id().unwrap(), machine);
                assert!(machine.len() == 32 && !files.contains(&machine));
            }
            None => assert!(files.iter().all(String::is_empty)),
        }
    }
}
