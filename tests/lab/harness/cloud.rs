//! EC2 for the machines: the fake, with each machine as an instance of it, its volumes as their disks.
//!
//! Dereferenced, it is the fake's controls: stuck transitions, throttles, absence, volumes as they are.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::TcpStream,
    ops::Deref,
    sync::Arc,
};

use ec2_fake::{
    Attach, Controls, Fake, FakeConfig, InstanceSpec, InstanceState, Machines, Plug, Unplugged,
};

use super::{Lab, Machine, PATIENCE, Service, bay::Bay, eventually, witness::Witness};

/// All machines are there.
const ZONE: &str = "us-east-1a";

/// A running EC2.
pub(crate) struct Cloud {
    fake: Fake,
    bays: Bays,
}

impl Cloud {
    /// Starts it, and offers it and its metadata to these machines. hawser is started with what it
    /// needs for it from now on.
    #[track_caller]
    pub(crate) fn start<const N: usize>(lab: &Lab, machines: [&Machine; N]) -> Self {
        let bays = machines.map(|machine| (instance(machine), Arc::clone(&machine.bay)));
        let bays = Bays(bays.into());
        let specs = machines.map(|machine| {
            let id = instance(machine);
            // Less than a bay has places: one that is still held does not refuse the next volume.
            InstanceSpec { id, max_attachments: 6, ..InstanceSpec::new(ZONE) }
        });
        let mut config = FakeConfig::new(lab.dir.join("ec2"));
        config.attach = Attach::Machines(Arc::new(bays.clone()));
        config.instance = specs[0].clone();
        let fake = Fake::start(config);
        for spec in specs.into_iter().skip(1) {
            fake.add_instance(spec).unwrap();
        }
        let cloud = Self { fake, bays };
        machines.iter().for_each(|machine| cloud.offer_to(machine));
        cloud
    }

    fn offer_to(&self, machine: &Machine) {
        let metadata = self.fake.imds_endpoint(&instance(machine)).expect("it is an instance");
        let metadata = metadata.trim_start_matches("http://").parse().unwrap();
        machine.offer(Service::Ec2, self.fake.address());
        machine.offer(Service::Metadata, metadata);
        let [ec2, metadata] = [Service::Ec2, Service::Metadata].map(|s| machine.address_of(s));
        machine.environment.borrow_mut().extend([
            format!("HAWSER_EBS_ENDPOINT=http://{ec2}"),
            format!("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://{metadata}"),
            "HAWSER_EBS_ENABLED=true".to_owned(),
            "HAWSER_CLUSTER=lab".to_owned(),
        ]);
    }

    /// What EC2 says of a machine from now on. It does not look at machines: whoever takes one's power
    /// says so here, when EC2 is to know.
    pub(crate) fn says(&self, machine: &Machine, state: InstanceState) {
        self.instance_state(&instance(machine), state);
    }

    /// Looks at it from a thread of its own.
    pub(super) fn watch(&self) -> Witness {
        Witness::start((*self.fake).clone(), self.bays.0.clone())
    }

    /// Attaches a volume, as `aws ec2 attach-volume` does.
    #[track_caller]
    pub(crate) fn attach(&self, volume: &str, machine: &Machine) {
        let instance = instance(machine);
        self.ask(
            "AttachVolume",
            &format!("VolumeId={volume}&InstanceId={instance}&Device=/dev/xvdba"),
        );
    }

    /// Detaches a volume, as `aws ec2 detach-volume [--force]` does.
    #[track_caller]
    pub(crate) fn detach(&self, volume: &str, how: Detach) {
        let force = matches!(how, Detach::ByForce);
        self.ask("DetachVolume", &format!("VolumeId={volume}&Force={force}"));
    }

    #[track_caller]
    fn ask(&self, action: &str, form: &str) {
        let body = format!("Action={action}&{form}");
        let head =
            format!("POST / HTTP/1.0\r\nHost: ec2\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(self.fake.address()).unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{action} {form}: {answer}");
    }

    /// Waits until EC2 says this of a volume: `available`, or `detaching` and the like.
    #[track_caller]
    pub(crate) fn wait_for(&self, volume: &str, state: &str) {
        eventually(&format!("{volume} is {state}"), PATIENCE, || {
            let Some(found) = self.volume(volume) else { return false };
            found.state == state || found.attachment.is_some_and(|it| it.state == state)
        });
    }
}

/// Whether a machine is asked before it loses a volume.
#[derive(Clone, Copy)]
pub(crate) enum Detach {
    InOrder,
    ByForce,
}

/// A machine's instance id.
fn instance(machine: &Machine) -> String {
    format!("i-{:017x}", machine.number())
}

impl Deref for Cloud {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.fake
    }
}

#[derive(Debug, Clone)]
struct Bays(BTreeMap<String, Arc<Bay>>);

impl Bays {
    fn of(&self, instance: &str) -> io::Result<&Bay> {
        let bay = self.0.get(instance);
        bay.map(|bay| &**bay).ok_or_else(|| io::Error::other(format!("{instance} is no machine")))
    }
}

impl Machines for Bays {
    fn plug(&self, plug: &Plug<'_>) -> io::Result<()> {
        self.of(plug.instance)?.plug(plug.volume, plug.serial, plug.image)
    }

    fn unplug(&self, instance: &str, volume: &str) -> io::Result<Unplugged> {
        self.of(instance)?.unplug(volume)
    }

    fn take_away(&self, instance: &str, volume: &str) -> io::Result<()> {
        self.of(instance)?.take_away(volume)
    }

    fn grown(&self, _: &str, volume: &str) -> io::Result<()> {
        // QEMU's NVMe disks keep the size that they have.
        Err(io::Error::other(format!("{volume} cannot grow while a machine of the lab has it")))
    }
}
