//! A volume's life, from its creation to its removal.

use std::{fs, sync::Arc};

use crate::{
    devices::Devices,
    harness::{World, until},
    server::{Moto, Volume},
};

/// A daemon on an instance of moto's.
struct Account {
    // In the order in which they are to end.
    world: World,
    devices: Devices,
    moto: Arc<Moto>,
    instance: String,
}

impl Account {
    fn start() -> Self {
        let mut world = World::new();
        let moto = Arc::new(Moto::start());
        let instance = moto.instance();
        let dir = world.path("play");
        let devices = Devices::of(&moto, &instance, &dir);
        for (key, value) in [
            ("daemon.cluster", "test"),
            ("backends.ebs.enabled", "true"),
            ("backends.ebs.region", "us-east-1"),
            ("backends.ebs.endpoint", &moto.endpoint()),
            ("backends.ebs.access_key", "AKIATEST"),
            ("backends.ebs.secret_key", "secret"),
            ("backends.ebs.instance_id", &instance),
            ("backends.ebs.zone", "us-east-1a"),
            ("backends.ebs.dev_dir", &dir.join("dev").display().to_string()),
            ("backends.ebs.sys_dir", &dir.join("sys").display().to_string()),
            ("volumes.default_backend", "ebs"),
            ("volumes.default_size", "1GiB"),
        ] {
            world.set(key, value);
        }
        world.start();
        Self { world, devices, moto, instance }
    }

    #[track_caller]
    fn volume(&self, name: &str) -> Volume {
        let id = self.world.inspect(name)["storage"].as_str().unwrap().to_owned();
        self.moto.volumes().into_iter().find(|volume| volume.id == id).expect("moto has it")
    }

    #[track_caller]
    fn finish(mut self) {
        until("all volumes are deleted", || self.moto.volumes().is_empty());
        self.world.finish();
        self.devices.stop();
    }
}

/// What moto says of a volume has all of these.
#[track_caller]
fn shows<const N: usize>(volume: &Volume, elements: [&str; N]) {
    for element in elements {
        assert!(volume.xml.contains(element), "{element} is not in {}", volume.xml);
    }
}

fn tag(key: &str, value: &str) -> String {
    format!("<key>{key}</key><value>{value}</value>")
}

#[test]
fn types_encryption_and_tags_are_what_was_asked_for() {
    let account = Account::start();
    let world = &account.world;
    world.create("name=fast,type=gp3,size=10GiB,iops=4000,throughput=200,label.team=web");
    world.create("name=secret,type=io2,size=10GiB,iops=500,encrypted=true");
    world.create("name=cold,type=st1,size=125GiB,attach=follow");

    let fast = account.volume("fast");
    shows(&fast, ["<volumeType>gp3<", "<size>10<", "<iops>4000<", "<throughput>200<"]);
    for (key, value) in
        [("hawser:cluster", "test"), ("hawser:name", "fast"), ("Name", "fast"), ("team", "web")]
    {
        shows(&fast, [&tag(key, value)]);
    }
    shows(&account.volume("secret"), ["<volumeType>io2<", "<encrypted>true<"]);
    shows(&account.volume("cold"), ["<volumeType>st1<", "<size>125<"]);

    for name in ["fast", "secret", "cold"] {
        world.remove(name);
    }
    account.finish();
}

#[test]
fn a_volume_is_attached_grown_copied_detached_and_deleted() {
    let account = Account::start();
    let world = &account.world;
    let path = world.mount("name=v,type=gp2,fs=xfs,attach=follow", "a");
    fs::write(path.join("file"), "precious").unwrap();
    assert_eq!(account.volume("v").instance.as_deref(), Some(&*account.instance));

    world.hawser(["volume", "grow", "v", "2GiB", "-o", "type=gp3"]);
    shows(&account.volume("v"), ["<volumeType>gp3<", "<size>2<"]);
    let size = rustix::fs::statvfs(&path).unwrap();
    assert!(size.f_blocks * size.f_frsize > 3 << 29, "{} blocks", size.f_blocks);

    let snapshot = world.hawser(["snapshot", "create", "v", "--description", "before"]);
    let snapshot = snapshot.trim();
    account.devices.until_seen(snapshot);
    assert!(world.hawser(["snapshot", "ls", "v"]).contains(snapshot));
    fs::write(path.join("file"), "later").unwrap();
    let copy = world.mount(&format!("name=copy,size=3GiB,snapshot={snapshot}"), "b");
    assert_eq!(fs::read_to_string(copy.join("file")).unwrap(), "precious");

    world.unmount("v", "a");
    world.until_released("v");
    assert_eq!(account.volume("v").instance, None);
    assert_eq!(world.data_of("v"), "later");

    world.hawser(["snapshot", "rm", "--yes", snapshot]);
    assert!(account.moto.snapshots().iter().all(|(id, _)| id != snapshot));
    world.unmount("copy", "b");
    for name in ["v", "copy"] {
        world.remove(name);
    }
    account.finish();
}

#[test]
fn a_volume_of_rex_rays_is_found_by_its_tags_and_taken_over() {
    let account = Account::start();
    let world = &account.world;
    let content = world.foreign_disk("data", "precious");
    let made = account.moto.ask(
        "Action=CreateVolume&AvailabilityZone=us-east-1a&Size=1&VolumeType=gp3\
         &TagSpecification.1.ResourceType=volume\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=pgdata",
    );
    let (_, rest) = made.split_once("<volumeId>").unwrap();
    let id = rest.split_once('<').unwrap().0;
    let image = world.path("play/images").join(id);
    until("its image is there", || image.metadata().is_ok_and(|image| image.len() == 1 << 30));
    let mut file = fs::File::options().write(true).open(&image).unwrap();
    std::io::Write::write_all(&mut file, &content).unwrap();
    drop(file);

    let listed = world.hawser(["volume", "import", "--list"]);
    assert!(listed.contains(id) && listed.contains("REX-Ray"), "{listed}");
    world.hawser(["volume", "import", id, "--yes"]);

    assert_eq!(world.data_of("pgdata"), "precious");
    shows(&account.volume("pgdata"), [&tag("hawser:cluster", "test")]);
    world.remove("pgdata");
    account.finish();
}
