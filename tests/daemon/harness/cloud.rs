//! A world whose volumes are on EBS: an EC2 of its own beside the daemon, with real devices.

use std::{fs, path::Path};

use ec2_fake::{Fake, FakeConfig};

use super::{World, on_ebs, run};

impl World {
    /// A daemon on an instance of a fake EC2, with EBS as its default; not started yet.
    #[track_caller]
    pub(crate) fn on_ebs() -> Self {
        let world = Self::new();
        let config = FakeConfig::new(world.path("ec2"));
        world.on(config)
    }

    /// The same with an EC2 of the test's own making, in the directory `ec2`.
    #[track_caller]
    pub(crate) fn on(mut self, config: FakeConfig) -> Self {
        let fake = Fake::start(config);
        for (key, value) in on_ebs::settings(&fake, &fake.first_instance()) {
            self.set(key, &value);
        }
        self.cloud = Some(fake);
        self
    }

    /// The EC2.
    #[track_caller]
    pub(crate) fn ec2(&self) -> &Fake {
        self.cloud.as_ref().expect("this world has an EC2")
    }

    /// What EC2 calls a volume.
    #[track_caller]
    pub(crate) fn vol(&self, name: &str) -> String {
        self.inspect(name)["storage"].as_str().expect("it is on EBS").to_owned()
    }

    /// How often each of EC2's actions was asked for since [`ec2_fake::Controls::reset_calls`],
    /// those that were not, left out.
    pub(crate) fn ec2_calls(&self) -> std::collections::BTreeMap<String, usize> {
        let mut counts = std::collections::BTreeMap::new();
        for call in self.ec2().calls() {
            *counts.entry(call.action).or_default() += 1;
        }
        counts
    }

    /// The contents of a small ext4 with one file in a directory, as another plugin left it.
    pub(crate) fn foreign_disk(&self, dir: &str, text: &str) -> Vec<u8> {
        let (image, mount) = (self.path("foreign.img"), self.path("foreign"));
        fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        fs::create_dir_all(&mount).unwrap();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        run("mkfs.ext4", ["-q", &path(&image)]);
        run("mount", ["-o", "loop", &path(&image), &path(&mount)]);
        fs::create_dir_all(mount.join(dir)).unwrap();
        fs::write(mount.join(dir).join("file"), text).unwrap();
        run("umount", [&path(&mount)]);
        let content = fs::read(&image).unwrap();
        fs::remove_file(&image).unwrap();
        content
    }
}
