//! The settings that put a daemon on an instance of the EC2 fake, for all suites that have one.

use ec2_fake::{Fake, InstanceSpec};

/// Keys and values; EBS is the default backend.
pub(crate) fn settings(fake: &Fake, instance: &InstanceSpec) -> Vec<(&'static str, String)> {
    let play = fake.play_dir(&instance.id);
    vec![
        ("daemon.cluster", "test".to_owned()),
        ("backends.ebs.enabled", "true".to_owned()),
        ("backends.ebs.region", "us-east-1".to_owned()),
        ("backends.ebs.endpoint", fake.endpoint()),
        ("backends.ebs.access_key", "AKIATEST".to_owned()),
        ("backends.ebs.secret_key", "secret".to_owned()),
        ("backends.ebs.instance_id", instance.id.clone()),
        ("backends.ebs.zone", instance.zone.clone()),
        ("backends.ebs.dev_dir", play.join("dev").display().to_string()),
        ("backends.ebs.sys_dir", play.join("sys").display().to_string()),
        ("volumes.default_backend", "ebs".to_owned()),
        ("volumes.default_size", "1GiB".to_owned()),
    ]
}
