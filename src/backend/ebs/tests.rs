//! The EBS backend on a fake EC2: the contract, and by their names the failures of others.

mod attaching;
mod creating;
mod detaching;
mod fencing;
mod looking;

use std::{fs, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use ec2_fake::{CallOutcome, Delays, Fake, FakeConfig, InstanceSpec};

use super::*;
use crate::{
    backend::{
        ErrorKind,
        conformance::{self, Subject},
    },
    spec::{AttachPolicy, EbsType, Spec},
    volume::{Record, testing},
};

/// A fake EC2, and this node in it.
struct World {
    fake: Fake,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FakeConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = FakeConfig::new(dir.path());
        change(&mut config);
        Self { fake: Fake::start(config), _dir: dir }
    }

    fn config(&self) -> EbsConfig {
        let me = self.fake.first_instance();
        let play = self.fake.play_dir(&me.id);
        EbsConfig {
            region: Some("us-east-1".into()),
            endpoint: Some(self.fake.endpoint()),
            metadata_endpoint: Some(self.fake.endpoint()),
            credentials: Some(keys()),
            attach_timeout: Duration::from_secs(2),
            force_detach_after: Duration::from_millis(700),
            dev_dir: play.join("dev"),
            sys_dir: play.join("sys"),
            ..EbsConfig::new("prod")
        }
    }

    fn open(&self) -> Ebs {
        Ebs::open_at(self.config(), fast())
    }

    /// The same cluster on another instance.
    fn neighbour(&self, zone: &str) -> (Ebs, String) {
        let spec = InstanceSpec::new(zone);
        let id = spec.id.clone();
        self.fake.add_instance(spec).unwrap();
        let play = self.fake.play_dir(&id);
        let config = EbsConfig {
            metadata_endpoint: self.fake.imds_endpoint(&id),
            dev_dir: play.join("dev"),
            sys_dir: play.join("sys"),
            ..self.config()
        };
        (Ebs::open_at(config, fast()), id)
    }

    /// EC2 has the volume attached, and this node does not see it.
    fn take_device_away(&self, device: &Device) {
        let play = self.fake.play_dir(&self.fake.first_instance().id);
        let name = device.path.file_name().unwrap();
        fs::remove_dir_all(play.join("sys/block").join(name)).unwrap();
        fs::remove_file(&device.path).unwrap();
        let links = play.join("dev/disk/by-id");
        fs::remove_dir_all(&links).unwrap();
        fs::create_dir(&links).unwrap();
    }

    /// Gives a device of this node another volume's serial number: as one that is left of an earlier
    /// attachment of that volume.
    fn pretend(&self, device: &Device, volume: &str) {
        let play = self.fake.play_dir(&self.fake.first_instance().id);
        let at = play.join("sys/block").join(device.path.file_name().unwrap());
        let mut serial = fs::File::create(at.join("device/serial")).unwrap();
        io::Write::write_all(&mut serial, volume.replacen('-', "", 1).as_bytes()).unwrap();
    }

    /// How often EC2 was asked what.
    fn counts(&self, actions: &[&str]) -> Vec<usize> {
        actions.iter().map(|action| self.fake.count(action)).collect()
    }
}

fn keys() -> StaticCredentials {
    StaticCredentials {
        access_key: "AKIAFAKE".into(),
        secret_key: "very secret".into(),
        session_token: None,
    }
}

/// As in production, but for the fake, which is fast.
fn fast() -> Pace {
    Pace {
        window: Duration::from_millis(30),
        cached: Duration::from_millis(50),
        first_poll: Duration::from_millis(10),
        longest_poll: Duration::from_millis(200),
        device: Duration::from_millis(800),
        created: Duration::from_secs(5),
        invisible: Duration::from_millis(600),
        modified: Duration::from_secs(3),
        forced: Duration::from_millis(700),
        between_finds: Duration::from_millis(100),
        answer: Duration::from_millis(700),
        fence: Duration::from_secs(5),
        silent_detach: Duration::from_millis(500),
        gone_detach: Duration::from_millis(700),
        forced_fence: Duration::from_millis(700),
        ..Pace::default()
    }
}

fn ebs() -> EbsSpec {
    EbsSpec {
        volume_type: EbsType::Gp3,
        iops: None,
        throughput: None,
        encrypted: None,
        kms_key: None,
        zone: None,
        snapshot: None,
        attach: AttachPolicy::Stay,
    }
}

fn volume_of(name: &str, backend: EbsSpec) -> VolumeRef {
    let size = Bytes::gib(1);
    let spec = Spec { size, backend: BackendSpec::Ebs(backend), ..testing::spec() };
    let now = jiff::Timestamp::now();
    VolumeRef::from(&Record::new(VolumeId::random(), name.parse().unwrap(), spec, now))
}

fn volume(name: &str) -> VolumeRef {
    volume_of(name, ebs())
}

/// Creates, and keeps what the engine keeps.
async fn made(backend: &Ebs, mut volume: VolumeRef) -> VolumeRef {
    let created = Backend::create(backend, &volume).await.unwrap();
    volume.handle = created.handle;
    volume.spec.backend = created.backend;
    volume
}

fn id(volume: &VolumeRef) -> &str {
    volume.handle.as_ref().unwrap().as_str()
}

async fn attach(backend: &Ebs, volume: &VolumeRef) -> Result<Device, BackendError> {
    backend.attach(volume, &CancellationToken::new()).await
}

/// Holds a device as a mount does.
fn hold(device: &Device) -> fs::File {
    try_hold(&device.path).unwrap()
}

fn try_hold(path: &Path) -> io::Result<fs::File> {
    let flags = rustix::fs::OFlags::EXCL.bits().cast_signed();
    fs::File::options().read(true).custom_flags(flags).open(path)
}

/// EC2 lets a volume be changed every six hours: the time passes before each change.
#[derive(Debug)]
struct Patient(Ebs, ec2_fake::Controls);

#[async_trait]
impl Backend for Patient {
    fn kind(&self) -> BackendKind {
        self.0.kind()
    }

    async fn create(&self, volume: &VolumeRef) -> Result<Created, BackendError> {
        Backend::create(&self.0, volume).await
    }

    async fn attach(
        &self,
        volume: &VolumeRef,
        cancel: &CancellationToken,
    ) -> Result<Device, BackendError> {
        self.0.attach(volume, cancel).await
    }

    async fn detach(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        self.0.detach(volume).await
    }

    async fn grow(&self, volume: &VolumeRef, to: Bytes) -> Result<(), BackendError> {
        self.1.advance(Duration::from_secs(7 * 60 * 60));
        self.0.grow(volume, to).await
    }

    async fn remove(&self, volume: &VolumeRef) -> Result<(), BackendError> {
        Backend::remove(&self.0, volume).await
    }

    async fn inspect(&self, volume: &VolumeRef) -> Result<Inspection, BackendError> {
        self.0.inspect(volume).await
    }

    async fn confirm(&self, volume: &VolumeRef, device: &Device) -> Result<(), BackendError> {
        self.0.confirm(volume, device).await
    }

    async fn attached(&self) -> Result<HashSet<VolumeId>, BackendError> {
        self.0.attached().await
    }
}

async fn keeps_the_contract(world: World) {
    let me = world.fake.first_instance();
    // Configured: the metadata service's tokens do not last for the hours that pass here.
    let (instance_id, zone) = (Some(me.id), Some(me.zone));
    let config = EbsConfig { instance_id, zone, ..world.config() };
    conformance::run(&Subject {
        make: || Patient(Ebs::open_at(config.clone(), fast()), world.fake.controls()),
        spec: BackendSpec::Ebs(ebs()),
        size: Bytes::gib(1),
        too_large: Bytes::gib(1 << 20),
    })
    .await;
    let left = world.fake.volumes().into_iter().filter(|volume| volume.state != "deleting");
    assert_eq!(left.collect::<Vec<_>>(), [], "nothing is left");
}

#[tokio::test]
async fn ebs_volumes_keep_the_contract() {
    keeps_the_contract(World::new()).await;
}

#[tokio::test]
async fn ebs_volumes_keep_the_contract_where_everything_takes_its_time_and_shows_late() {
    let world = World::with(|config| config.delays = Delays::all(Duration::from_millis(60)));
    world.fake.hide_new_volumes(Duration::from_millis(80));
    keeps_the_contract(world).await;
}

#[tokio::test]
async fn ebs_volumes_keep_the_contract_on_xen() {
    keeps_the_contract(World::with(|config| config.instance = InstanceSpec::xen("us-east-1a")))
        .await;
}

#[tokio::test]
async fn opening_asks_nobody_and_this_node_is_asked_for_once() {
    let world = World::new();
    let me = world.fake.first_instance();
    let backend = world.open();
    world.fake.away(true);
    let backend = {
        let _ = world.open();
        backend
    };
    world.fake.clear_wire_faults();

    for _ in 0..2 {
        assert_eq!(backend.identity().await.unwrap(), (me.id.clone(), me.zone.clone()));
    }
    assert_eq!(world.fake.calls(), []);
}

#[tokio::test]
async fn without_a_metadata_service_the_missing_setting_is_named_soon() {
    let world = World::new();
    let config =
        EbsConfig { metadata_endpoint: Some("http://127.0.0.1:9".into()), ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let begun = std::time::Instant::now();

    let error = Backend::create(&backend, &volume("a")).await.unwrap_err();

    assert!(
        error.to_string().contains("not on EC2 and no zone configured: set backends.ebs.zone"),
        "{error}"
    );
    let nobody = EbsConfig {
        credentials: None,
        zone: Some("us-east-1a".into()),
        ..backend.inner.config.clone()
    };
    let error = Backend::create(&Ebs::open_at(nobody, fast()), &volume("a")).await.unwrap_err();
    assert!(error.to_string().contains("no AWS credentials"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_roles_credentials_and_region_come_from_the_metadata_service() {
    let world = World::new();
    let config = EbsConfig { credentials: None, region: None, ..world.config() };
    let backend = Ebs::open_at(config, fast());
    let volume = made(&backend, volume("a")).await;
    assert_eq!(world.fake.volume(id(&volume)).unwrap().zone, "us-east-1a");
}

#[test]
fn secrets_are_not_shown() {
    let config = EbsConfig { credentials: Some(keys()), ..EbsConfig::new("prod") };
    let shown = format!("{:?}", Ebs::open(config));
    assert!(!shown.contains("very secret") && !shown.contains("AKIAFAKE"), "{shown}");
}
