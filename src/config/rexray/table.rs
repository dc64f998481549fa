//! REX-Ray's keys, and what each one means here.
//!
//! Paths are in lower case, without the parts that only say where a key may stand (`mod.rs`).
//! From rexray's .docs/user-guide/config.md and storage-providers/aws.md, and its older versions.

use super::super::log;

/// What a key means.
pub(super) enum Means {
    /// A setting of ours; the function makes its value, or says why there is none.
    Sets(&'static str, fn(&str) -> Result<String, String>),
    /// The same thing holds here, or there is nothing like it to set.
    NotNeeded(&'static str),
    /// It is otherwise here, and somebody should know.
    Differs(&'static str),
    /// The same where the value is that word: what REX-Ray does by default.
    DiffersUnless(&'static str, &'static str),
    /// The part of volume names before the `/`.
    NamePrefix,
    /// Which driver or service is used.
    Service,
}

use Means::{Differs, DiffersUnless, NamePrefix, NotNeeded, Service, Sets};

pub(super) const KEYS: &[(&str, Means)] = &[
    ("loglevel", Sets("daemon.log", log::level_or_filter)),
    ("logging.level", Sets("daemon.log", log::level_or_filter)),
    ("service", Service),
    ("driver", Service),
    ("storagedrivers", Service),
    ("osdrivers", NotNeeded("there is one operating system")),
    ("volumedrivers", NotNeeded("the daemon serves Docker and Mesos by one socket")),
    ("host", NotNeeded("there is no server to reach: every node has its own daemon")),
    ("embedded", NotNeeded("there is no server to embed")),
    // What is done with volumes.
    (
        "volume.mount.preempt",
        DiffersUnless(
            "false",
            "REX-Ray takes a volume also from a node that uses it, which is never done here; one \
             whose node lets go of it, or whose instance is dead, comes by itself (MIGRATION.md, \
             `preempt`)",
        ),
    ),
    (
        "volume.mount.path",
        Differs("volumes are mounted below ROOT/volumes: daemon.root, only if tasks must see it"),
    ),
    (
        "volume.mount.rootpath",
        DiffersUnless(
            "/data",
            "tasks see /data of an imported volume, unless it is imported with --data-dir",
        ),
    ),
    ("volume.mount.retrycount", NotNeeded("what can be repeated is repeated until the deadline")),
    ("volume.mount.retrywait", NotNeeded("what can be repeated is repeated until the deadline")),
    (
        "volume.unmount.ignoreusedcount",
        NotNeeded("users are counted by their ids, and Mesos, which has none, is one user"),
    ),
    (
        "volume.create.disable",
        DiffersUnless("false", "the first use of a name makes the volume; it cannot be turned off"),
    ),
    (
        "volume.create.implicit",
        DiffersUnless("true", "the first use of a name makes the volume; it cannot be turned off"),
    ),
    ("volume.create.default.size", Sets("volumes.default_size", size)),
    ("volume.create.default.type", Sets("backends.ebs.type", volume_type)),
    ("volume.create.default.fstype", Sets("volumes.default_fs", |fs| Ok(fs.to_ascii_lowercase()))),
    (
        "volume.create.default.iops",
        Differs("a volume states its iops itself, where it states its type"),
    ),
    (
        "volume.create.default.availabilityzone",
        Differs(
            "a new volume is made in its node's zone, which the instance says; zone= asks for \
             another",
        ),
    ),
    (
        "volume.remove.disable",
        DiffersUnless(
            "false",
            "volumes can be removed: sticky=true protects one, on_remove=retain keeps its data, \
             and volumes.undelete brings a removed one back",
        ),
    ),
    ("volume.remove.force", DiffersUnless("false", "a volume in use is never removed")),
    ("volume.path.cache", NotNeeded("paths are always known without asking EC2")),
    ("volume.path.cache.enabled", NotNeeded("paths are always known without asking EC2")),
    ("volume.path.cache.async", NotNeeded("paths are always known without asking EC2")),
    (
        "linux.volume.filemode",
        DiffersUnless(
            "0755",
            "a volume states it: mode=0700; 0755 otherwise, set once when it is formatted",
        ),
    ),
    // EBS.
    ("ebs.accesskey", Sets("backends.ebs.access_key", same)),
    ("ebs.secretkey", Sets("backends.ebs.secret_key", same)),
    ("ebs.region", Sets("backends.ebs.region", same)),
    ("ebs.endpoint", Sets("backends.ebs.endpoint", endpoint)),
    ("ebs.kmskeyid", Sets("backends.ebs.kms_key", same)),
    ("ebs.tag", NamePrefix),
    ("ebs.rexraytag", NamePrefix),
    (
        "ebs.maxretries",
        NotNeeded("requests are repeated as EC2 allows, until the caller's deadline"),
    ),
    (
        "ebs.uselargedevicerange",
        NotNeeded(
            "every device name is used; the instance's own limit is backends.ebs.attach_limit",
        ),
    ),
    ("ebs.statusmaxattempts", NotNeeded("waits end by time, not by attempts")),
    ("ebs.statusinitialdelay", NotNeeded("waits end by time, not by attempts")),
    (
        "ebs.statustimeout",
        NotNeeded("Docker itself waits 2 minutes at most; backends.ebs.attach_timeout is below it"),
    ),
    ("ebs.nvmebinpath", NotNeeded("NVMe devices are found in sysfs, without nvme-cli")),
    // libStorage.
    ("device.attachtimeout", Sets("backends.ebs.attach_timeout", duration)),
    ("device.scantype", NotNeeded("devices are found by their serial number")),
    ("debug", NotNeeded("daemon.log sets what is logged")),
    ("logging.httprequests", NotNeeded("daemon.log sets what is logged")),
    ("logging.httpresponses", NotNeeded("daemon.log sets what is logged")),
];

/// Keys that begin so, and why they mean nothing here.
pub(super) const PREFIXES: &[(&str, &str)] = &[
    ("tls.", "nothing listens on the network"),
    ("auth.", "sockets are for root alone, and nothing listens on the network"),
    ("client.", "there is no client apart from the daemon"),
    ("server.endpoints.", "nothing listens on the network"),
    ("tasks.", "every volume has its own queue, and calls end at their own deadline"),
    ("http.", "there is no HTTP server"),
    ("executor.", "there is no executor: the daemon does everything itself"),
    ("csi.", "there is no CSI endpoint"),
    ("cli.", "it is a setting of REX-Ray's own command line"),
];

/// Drivers other than that of EBS.
pub(super) const OTHER_DRIVERS: &[&str] = &[
    "azureud",
    "cinder",
    "digitalocean",
    "dobs",
    "efs",
    "fittedcloud",
    "fittedclouds",
    "gce",
    "gcepd",
    "isilon",
    "openstack",
    "rackspace",
    "rbd",
    "s3fs",
    "scaleio",
    "vbox",
    "vfs",
    "virtualbox",
    "vmax",
    "xtremio",
];

/// Names of the driver of EBS.
pub(super) const EBS: [&str; 3] = ["ebs", "ec2", "aws"];

fn same(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn size(text: &str) -> Result<String, String> {
    match text.parse::<u64>() {
        Ok(gib) if gib > 0 => Ok(format!("{gib}GiB")),
        _ => Err("not a number of GiB".into()),
    }
}

fn volume_type(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    if text == "io1" || text == "io2" {
        return Err("it needs iops, so a volume states both itself: type=, iops=".into());
    }
    Ok(text)
}

fn endpoint(text: &str) -> Result<String, String> {
    Ok(if text.contains("://") { text.to_owned() } else { format!("https://{text}") })
}

fn duration(text: &str) -> Result<String, String> {
    // REX-Ray takes a bare number as nanoseconds, which nobody meant.
    match text.parse::<u64>() {
        Ok(_) => Err("a time has a unit: 90s is the default here".into()),
        Err(_) => Ok(text.to_owned()),
    }
}
