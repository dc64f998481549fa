//! What the lab itself promises: a cable that is pulled, and a machine that stands still.

use crate::harness::{Lab, Link};

#[test]
#[ignore = "a part of `make lab`"]
fn a_machine_is_cut_off_and_stopped_and_comes_back() {
    let (lab, [one, other]) = Lab::start("selftest", ["one", "other"]);
    let ping = |wait: &str| {
        let address = other.address.to_string();
        one.run(&["/bin/busybox", "ping", "-c", "1", "-W", wait, &address]).code == 0
    };
    assert!(ping("10"));

    lab.step("its cable is out");
    other.link(Link::Down);
    assert!(!ping("2"), "it answers without a cable");
    assert_eq!(other.sh("hostname").ok(), "other", "the agent needs no network");
    other.link(Link::Up);
    assert!(ping("10"));

    lab.step("it stands still");
    other.pause();
    assert!(!ping("2"), "it answers while it stands still");
    other.resume();
    assert!(ping("10"));
    assert_eq!(other.sh("hostname").ok(), "other");

    lab.step("it is shut down and started");
    other.shut_down();
    assert!(other.is_off());
    other.boot();
    assert!(ping("10"));
}
