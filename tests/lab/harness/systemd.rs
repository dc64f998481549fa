//! A machine that systemd runs, with Docker as a unit: as a host is.

use super::{Disk, Machine, SLOW};

impl Machine {
    /// Switches it on with systemd as its first process, and waits until all units have been started. What a
    /// host keeps over reboots is on this disk (tests/lab/guest/systemd.sh).
    #[track_caller]
    pub(crate) fn boot_systemd(&self, disk: &Disk) {
        let Disk { serial, socket, .. } = disk;
        let server = format!(
            "driver=nbd,node-name={serial},server.type=unix,server.path={}",
            socket.display()
        );
        let device = format!("virtio-blk-pci,id={serial},drive={serial},serial={serial},bus=slot0");
        let more = ["-blockdev".to_owned(), server, "-device".to_owned(), device];
        // Docker would load a profile, with programs that are not there.
        self.switch_on_with(&format!("lab.systemd={serial} apparmor=0"), &more);
        self.live().slots[0] = Some(serial.clone());
        self.wait_booted();
        // `degraded` where any unit failed, which may be one that no test is about.
        let started = "while state=$(systemctl is-system-running)
            case $state in running | degraded) false ;; esac
        do sleep 0.5; done
        echo $state; systemctl --failed --no-legend";
        eprintln!("           {}", self.sh_within(SLOW, started).ok());
    }

    /// Reboots it as systemd does. What nobody had written out by then is lost.
    #[track_caller]
    pub(crate) fn reboot_systemd(&self, disk: &Disk) {
        self.spawn(&["/bin/systemctl", "reboot"]);
        self.wait_off(SLOW);
        disk.lose_cache();
        self.boot_systemd(disk);
    }

    /// What systemd says of a unit.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let property = format!("--property={name}");
        self.run(&["/bin/systemctl", "show", "--value", &property, unit]).ok()
    }
}
