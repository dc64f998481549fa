//! A thousand volumes: what each costs the others.

use std::{thread, time::Duration};

use crate::{
    calls::spec,
    client::{named, with_id},
    daemon::Daemon,
    report::{Report, Samples},
};

const VOLUMES: usize = 1000;
const MOUNTED: usize = 10;
const MAKERS: usize = 8;

/// Goes on with the daemon that has the one volume.
pub(crate) fn measure(daemon: &mut Daemon, report: &mut Report) {
    eprintln!("making {VOLUMES} volumes");
    thread::scope(|scope| {
        for maker in 0..MAKERS {
            let mut client = daemon.client();
            scope.spawn(move || {
                for i in (maker..VOLUMES - 1).step_by(MAKERS) {
                    client.call("Create", &spec(&name(i), "16MiB", "thin", "ext4"));
                }
            });
        }
    });
    let mut client = daemon.client();
    for i in 0..MOUNTED - 1 {
        client.call("Mount", &with_id(&name(i), "a"));
    }
    let answer = client.call("List", "{}");
    assert_eq!(answer.matches(r#""Name""#).count(), VOLUMES);
    let samples = Samples::of(200, |_| _ = client.call("List", "{}"));
    report.call(&format!("List, {VOLUMES} volumes"), &samples);
    for (method, body) in [("Get", named("one")), ("Path", named("one"))] {
        let samples = Samples::of(1000, |_| _ = client.call(method, &body));
        report.call(&format!("{method}, {VOLUMES} volumes"), &samples);
    }
    let samples = Samples::of(100, |i| _ = client.call("Mount", &with_id("one", &format!("c{i}"))));
    report.call(&format!("second Mount, {VOLUMES} volumes"), &samples);
    let samples = Samples::of(20, |i| {
        client.call("Create", &spec(&format!("late{i}"), "64MiB", "thick", "ext4"));
    });
    report.call(&format!("Create, 64 MiB thick, {VOLUMES} volumes"), &samples);
    for i in 0..20 {
        client.call("Remove", &named(&format!("late{i}")));
    }

    let restarts = (0..20).map(|_| daemon.restart("one")).collect();
    let what = "restart after `kill -9` to the first answered Get";
    report.call(&format!("{what}, {VOLUMES} volumes, {MOUNTED} of them mounted"), &restarts);
    thread::sleep(Duration::from_secs(2));
    let what = format!("resident memory, {VOLUMES} volumes, {MOUNTED} of them mounted");
    report.size(&what, daemon.resident());
}

fn name(i: usize) -> String {
    format!("volume-{i:04}")
}
