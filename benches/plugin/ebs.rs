//! 200 EBS volumes and 50 clients, on a day when EC2 is well and on worse ones: one volume is stuck;
//! and 5 % of the calls are throttled besides.

use std::{path::Path, thread, time::Duration};

use ec2_fake::{Delays, Fake, FakeConfig, Throttle, Transition};

use crate::{
    client::with_id,
    daemon::Daemon,
    harness::on_ebs,
    report::{Report, Samples, timed},
};

const VOLUMES: usize = 200;
const CLIENTS: usize = 50;

/// How EC2 is.
#[derive(Clone, Copy, PartialEq)]
enum Day {
    Good,
    Stuck,
    Throttled,
}

impl Day {
    const fn words(self) -> &'static str {
        match self {
            Self::Good => "",
            Self::Stuck => ", one volume stuck",
            Self::Throttled => ", one volume stuck, 5 % of calls throttled",
        }
    }
}

/// Measures in a directory of its own.
pub(crate) fn measure(dir: &Path, report: &mut Report) {
    for (name, day) in [("good", Day::Good), ("stuck", Day::Stuck), ("throttled", Day::Throttled)] {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        live(&dir, day, report);
    }
}

fn live(dir: &Path, day: Day, report: &mut Report) {
    let mut config = FakeConfig::new(dir.join("ec2"));
    config.instance.max_attachments = 250;
    config.delays = Delays {
        create: Duration::from_millis(500),
        attach: Duration::from_secs(1),
        detach: Duration::from_secs(1),
        ..Delays::all(Duration::ZERO)
    };
    let fake = Fake::start(config);
    let mut settings = on_ebs::settings(&fake, &fake.first_instance());
    // Each unmount is a detach.
    settings.push(("volumes.linger", "0s".to_owned()));
    let mut daemon = Daemon::with(dir, settings);
    make(&daemon);
    if day != Day::Good {
        fake.stick(&stuck(&fake), Transition::Attach);
    }
    if day == Day::Throttled {
        fake.throttle("*", Throttle::Percent(5));
    }
    fake.reset_calls();
    // Nobody waits for its answer.
    let mut waits = daemon.client();
    let stuck = thread::spawn(move || waits.try_call("Mount", &with_id("stuck", "s")).is_ok());
    let (mounts, unmounts) = mount_all(&daemon);
    let what = day.words();
    report.call(&format!("EBS: first Mount, {VOLUMES} volumes, {CLIENTS} clients{what}"), &mounts);
    report.call(&format!("EBS: Unmount, the same{what}"), &unmounts);
    let describes = fake.calls().iter().filter(|call| call.action == "DescribeVolumes").count();
    eprintln!("EBS: {describes} DescribeVolumes for {VOLUMES} mounts and unmounts{what}");
    daemon.kill();
    drop(stuck);
}

fn name(i: usize) -> String {
    format!("ebs-{i:03}")
}

/// Volumes that follow their tasks: the measured mounts attach, and the unmounts detach.
fn make(daemon: &Daemon) {
    eprintln!("making {VOLUMES} EBS volumes");
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mut connection = daemon.client();
            scope.spawn(move || {
                for i in (client..VOLUMES).step_by(CLIENTS) {
                    connection.call("Create", &spec(&name(i)));
                }
            });
        }
    });
    daemon.client().call("Create", &spec("stuck"));
}

fn spec(name: &str) -> String {
    format!(r#"{{"Name":"{name}","Opts":{{"size":"1GiB","attach":"follow"}}}}"#)
}

fn stuck(fake: &Fake) -> String {
    let of_name = |volume: &ec2_fake::VolumeInfo| volume.tags["hawser:name"] == "stuck";
    fake.volumes().into_iter().find(of_name).expect("it was made").id
}

fn mount_all(daemon: &Daemon) -> (Samples, Samples) {
    let results: Vec<(Samples, Samples)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let mut connection = daemon.client();
                scope.spawn(move || {
                    let volumes = (client..VOLUMES).step_by(CLIENTS);
                    volumes
                        .map(|i| {
                            let call = with_id(&name(i), "a");
                            let mount = timed(|| _ = connection.call("Mount", &call));
                            (mount, timed(|| _ = connection.call("Unmount", &call)))
                        })
                        .unzip::<_, _, Vec<_>, Vec<_>>()
                })
            })
            .collect();
        let samples = |(mounts, unmounts): (Vec<Duration>, Vec<Duration>)| {
            (mounts.into_iter().collect(), unmounts.into_iter().collect())
        };
        clients.into_iter().map(|client| samples(client.join().unwrap())).collect()
    });
    let (mounts, unmounts) = results.into_iter().unzip();
    (Samples::joined(mounts), Samples::joined(unmounts))
}
