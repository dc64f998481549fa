//! Machines that lose their power, are shut down, stand still, or have their cable pulled.

use std::time::Duration;

use serde_json::json;

use super::{Disk, Machine, eventually, machine::COMMAND};

impl Machine {
    /// The power fails: its memory is lost, and the caches of its disks, all of which are to be given.
    /// EBS volumes keep what they acknowledged, and EC2 does not know of it before it is told.
    #[track_caller]
    pub(crate) fn lose_power(&self, disks: &[&Disk]) {
        let mut attached: Vec<_> = self.live().slots.iter().flatten().cloned().collect();
        let mut given: Vec<_> = disks.iter().map(|disk| disk.serial.clone()).collect();
        attached.sort();
        given.sort();
        assert_eq!(given, attached, "the disks that {} has", self.name);
        self.crash();
        disks.iter().for_each(|disk| disk.lose_cache());
    }

    /// It ends in the middle of everything: its memory is lost, and its disks have what they were given.
    #[track_caller]
    pub(crate) fn crash(&self) {
        let mut live = self.live.borrow_mut().take().expect("the machine is on");
        live.qemu.kill().unwrap();
        live.qemu.wait().unwrap();
        self.bay.power_off();
    }

    /// Shuts it down in order, as `poweroff` does.
    #[track_caller]
    pub(crate) fn shut_down(&self) {
        self.spawn(&["/bin/busybox", "poweroff"]);
        self.wait_off(COMMAND);
    }

    /// Waits until it has shut itself down.
    #[track_caller]
    pub(super) fn wait_off(&self, limit: Duration) {
        let mut live = self.live.borrow_mut().take().expect("the machine is on");
        eventually("the machine is off", limit, || live.qemu.try_wait().unwrap().is_some());
        self.bay.power_off();
    }

    /// Pulls its network cable out, or back in.
    #[track_caller]
    pub(crate) fn link(&self, link: Link) {
        let up = matches!(link, Link::Up);
        self.live().monitor.execute("set_link", &json!({"name": "nic", "up": up}));
    }

    /// Stops its clock and its processor: it is neither dead nor does it answer.
    #[track_caller]
    pub(crate) fn pause(&self) {
        self.live().monitor.execute("stop", &json!({}));
    }

    /// Lets it go on.
    #[track_caller]
    pub(crate) fn resume(&self) {
        self.live().monitor.execute("cont", &json!({}));
    }
}

/// The state of a network cable.
#[derive(Clone, Copy)]
pub(crate) enum Link {
    Up,
    Down,
}
