//! A machine in a test: one engine, one hawser, and the few sentences that scenarios are made of.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use ec2_fake::{Fake, FakeConfig};

use super::{Engine, Hawser, LiveRestore, PATIENCE, cgroups, cleanup, eventually, on_ebs};

/// Field order is drop order.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) hawser: Hawser,
    /// The EC2 that hawser's volumes are on.
    cloud: Option<Fake>,
    pub(crate) dir: TestDir,
}

impl World {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::with(LiveRestore::No, &[])
    }

    /// A world with `section.key=value` settings for hawser.
    #[track_caller]
    pub(crate) fn with(live_restore: LiveRestore, settings: &[&str]) -> Self {
        let dir = TestDir::new();
        let hawser = Hawser::start(dir.path(), settings);
        let engine = Engine::start(&dir.path().join("docker"), live_restore);
        Self { engine, hawser, cloud: None, dir }
    }

    /// A world whose volumes are on EBS.
    #[track_caller]
    pub(crate) fn on_ebs(live_restore: LiveRestore) -> Self {
        let dir = TestDir::new();
        let fake = Fake::start(FakeConfig::new(dir.path().join("ec2")));
        let settings = on_ebs::settings(&fake, &fake.first_instance());
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        let hawser = Hawser::start(dir.path(), &settings);
        let engine = Engine::start(&dir.path().join("docker"), live_restore);
        Self { engine, hawser, cloud: Some(fake), dir }
    }

    /// The EC2.
    #[track_caller]
    pub(crate) fn ec2(&self) -> &Fake {
        self.cloud.as_ref().expect("this world has an EC2")
    }

    /// `docker volume create` with our driver; the last arguments are options and the name.
    #[track_caller]
    pub(crate) fn create_volume(&self, args: &[&str]) -> String {
        self.engine.run_ok(&self.volume_create(args))
    }

    /// As [`Self::create_volume`], expected to be refused: the error.
    #[track_caller]
    pub(crate) fn create_volume_err(&self, args: &[&str]) -> String {
        self.engine.run_err(&self.volume_create(args))
    }

    fn volume_create<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["volume", "create", "--driver", &self.hawser.driver], args].concat()
    }

    /// Runs a shell script in a container that is removed at its end, with this volume at `/data`.
    #[track_caller]
    pub(crate) fn sh(&self, volume: &str, script: &str) -> String {
        self.try_sh(volume, script).ok()
    }

    /// As [`Self::sh`], whatever comes of it.
    pub(crate) fn try_sh(&self, volume: &str, script: &str) -> super::Outcome {
        let bind = format!("{volume}:/data");
        let run = ["run", "--rm", "-v", &bind, "busybox", "sh", "-c", script];
        self.engine.docker(&self.container(&run))
    }

    /// Starts a container that stays, with this volume at `/data` (`vol` or `vol:ro`).
    #[track_caller]
    pub(crate) fn start(&self, name: &str, volume: &str, script: &str) {
        let (volume, mode) = volume.split_once(':').unwrap_or((volume, "rw"));
        let bind = format!("{volume}:/data:{mode}");
        let run = ["run", "-d", "--name", name, "-v", &bind, "busybox", "sh", "-c", script];
        self.engine.run_ok(&self.container(&run));
    }

    /// `docker run …` or `docker create …` with our driver and no network.
    pub(crate) fn container<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        let driver = ["--network", "none", "--volume-driver", &self.hawser.driver];
        [&args[..1], &driver, &args[1..]].concat()
    }

    /// Runs a command in a running container.
    #[track_caller]
    pub(crate) fn exec(&self, container: &str, script: &str) -> String {
        self.engine.run_ok(&["exec", container, "sh", "-c", script])
    }

    /// The names of our volumes, as Docker lists them.
    #[track_caller]
    pub(crate) fn volumes(&self) -> Vec<String> {
        let filter = format!("driver={}", self.hawser.driver);
        let names = self.engine.run_ok(&["volume", "ls", "--quiet", "--filter", &filter]);
        let mut names: Vec<_> = names.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// One field of `docker volume inspect`, as JSON.
    #[track_caller]
    pub(crate) fn inspect(&self, volume: &str, field: &str) -> serde_json::Value {
        let format = format!("{{{{json .{field}}}}}");
        let json = self.engine.run_ok(&["volume", "inspect", "--format", &format, volume]);
        serde_json::from_str(&json).expect("docker prints JSON")
    }

    /// Ends the test's containers, proves that a restarted hawser knows the same volumes, removes
    /// these, and proves that nothing is left of them.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        for container in self.engine.run_ok(&["ps", "--all", "--quiet"]).lines() {
            self.engine.run_ok(&["rm", "--force", "--volumes", container]);
        }
        let before = self.volumes();
        self.hawser.stop();
        self.hawser.up();
        assert_eq!(self.volumes(), before, "a restart changed the volumes");
        for volume in before {
            // Whatever copied the mounts in the moment when a container ended may have them a little longer.
            let removed = || {
                let outcome = self.engine.docker(&["volume", "rm", &volume]);
                let held = outcome.stderr.contains("another mount namespace still has it");
                assert!(outcome.code == 0 || held, "{outcome}");
                outcome.code == 0
            };
            eventually("the volume can be removed", PATIENCE, removed);
        }
        self.hawser.assert_clean();
    }
}

/// A directory that takes everything with it that still hangs on it.
pub(crate) struct TestDir {
    path: PathBuf,
}

impl TestDir {
    /// Makes the next directory, after clearing those of tests that were killed.
    #[track_caller]
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests mount file systems: run as root"
        );
        // One test at a time, of all processes, looks for what others left and mounts cgroups.
        let lock = File::create("/var/tmp/hawser-tests.lock").unwrap();
        lock.lock().unwrap();
        cleanup::clear_stale();
        cgroups::ensure_mounted();
        let path = cleanup::directory(NEXT.fetch_add(1, Ordering::Relaxed));
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        cleanup::clear(&self.path);
    }
}
