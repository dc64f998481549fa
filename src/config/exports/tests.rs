use std::time::Duration;

use super::super::{Config, Mistakes, tests::values};
use super::*;
use crate::spec::{BackendKind, Bytes};

const ONE: &str =
    "[daemon]\ncluster = \"prod\"\n[backends.nfs.fast]\nserver = \"filer:/export/apps\"\n";

fn configured(file: &str, environment: &[(&str, &str)], options: &[(&str, &str)]) -> Config {
    Config::read(values(file, environment, options)).unwrap()
}

fn exports(file: &str) -> Vec<ExportSettings> {
    configured(file, &[], &[]).nfs.unwrap().exports
}

fn refused(file: &str, environment: &[(&str, &str)]) -> Mistakes {
    Config::read(values(file, environment, &[])).unwrap_err()
}

#[track_caller]
fn one_mistake(file: &str, told: &str) {
    let mistakes = refused(file, &[]);
    assert_eq!(mistakes.0.len(), 1, "{mistakes}");
    assert!(mistakes.to_string().contains(told), "{told}\n{mistakes}");
}

#[test]
fn without_an_export_there_is_no_backend() {
    let config = configured("[backends.nfs]\ntimeo = \"10s\"", &[], &[]);
    assert_eq!((config.nfs, config.engine.defaults.nfs), (None, None));
}

#[test]
fn a_server_and_a_cluster_are_all_that_an_export_needs() {
    let config = configured(ONE, &[], &[]);
    let nfs = config.nfs.unwrap();
    assert_eq!((nfs.cluster.as_str(), nfs.secret), ("prod", None));
    let [fast] = &nfs.exports[..] else { panic!("{:?}", nfs.exports) };
    assert_eq!(
        (fast.name.as_str(), fast.server.to_string().as_str()),
        ("fast", "filer:/export/apps")
    );
    assert_eq!(fast.versions, NfsVersion::ALL);
    assert_eq!((fast.port, fast.mount_port, fast.portmapper_port), (None, None, 111));
    assert_eq!(
        (fast.control, fast.privileged_port, fast.locks),
        (Control::V3, true, Locks::Refuse)
    );
    assert_eq!((fast.uid, fast.gid), (0, 0));
    assert_eq!((fast.timeo, fast.retrans, fast.nconnect), (Duration::from_secs(60), 2, None));
    assert_eq!((fast.rsize, fast.wsize, fast.noresvport), (None, None, false));
    assert_eq!((&fast.options[..], fast.over_limit), (&[][..], OverLimit::Warn));
    assert_eq!(fast.measure_every, Some(Duration::from_secs(3600)));
    assert_eq!((fast.measure_rate, fast.margin), (500, Bytes::mib(256)));
    let defaults = NfsDefaults { exports: vec!["fast".into()], export: None };
    assert_eq!(config.engine.defaults.nfs, Some(defaults));
    one_mistake(&ONE.replace("prod", ""), "daemon.cluster: : the nfs backend needs a name");
}

#[test]
fn every_setting_arrives_for_one_export_and_for_all() {
    let all = "versions = \"4.1, 3\"\nport = 2050\nmount_port = 20048\nportmapper_port = 1111\n\
               control = \"mount\"\nprivileged_port = false\nuid = 1000\ngid = 1001\n\
               locks = \"local\"\ntimeo = \"5.5s\"\nretrans = 5\nnconnect = 4\nrsize = 65536\n\
               wsize = 32768\nnoresvport = true\noptions = \"fsc, sec=sys\"\n\
               over_limit = \"refuse\"\nmeasure_every = \"0s\"\nmeasure_rate = 50\n\
               margin = \"1GiB\"\n";
    let for_all = exports(&format!("{ONE}[backends.nfs]\n{all}"));
    let for_one = exports(&format!("{ONE}{all}"));
    assert_eq!(for_all, for_one);
    let [fast] = &for_one[..] else { panic!("{for_one:?}") };
    assert_eq!(fast.versions, [NfsVersion::V4_1, NfsVersion::V3]);
    assert_eq!((fast.port, fast.mount_port), (Some(2050), Some(20048)));
    assert_eq!((fast.portmapper_port, fast.control), (1111, Control::Mount));
    assert_eq!((fast.privileged_port, fast.locks), (false, Locks::Local));
    assert_eq!((fast.uid, fast.gid), (1000, 1001));
    assert_eq!((fast.timeo, fast.retrans), (Duration::from_millis(5500), 5));
    assert_eq!((fast.nconnect, fast.rsize, fast.wsize), (Some(4), Some(65536), Some(32768)));
    assert_eq!((fast.noresvport, fast.over_limit), (true, OverLimit::Refuse));
    assert_eq!(fast.options, ["fsc", "sec=sys"]);
    assert_eq!((fast.measure_every, fast.measure_rate), (None, 50));
    assert_eq!(fast.margin, Bytes::gib(1));
}

#[test]
fn an_exports_own_value_wins_whatever_the_source_of_the_one_for_all() {
    let file = format!("{ONE}retrans = 7\n[backends.nfs.slow]\nserver = \"old:/x\"");
    let options = [("backends.nfs.slow.nconnect", "2"), ("backends.nfs.fast.server", "new:/y")];
    let config = configured(&file, &[("HAWSER_NFS_RETRANS", "9")], &options);
    let nfs = config.nfs.unwrap();
    let told: Vec<_> =
        nfs.exports.iter().map(|e| (e.server.to_string(), e.retrans, e.nconnect)).collect();
    assert_eq!(told, [("new:/y".to_owned(), 7, None), ("old:/x".to_owned(), 9, Some(2))]);
}

#[test]
fn the_environment_alone_makes_the_export_without_a_name() {
    let environment = [("HAWSER_CLUSTER", "prod"), ("HAWSER_NFS_SERVER", "filer:/x")];
    let config =
        configured("", &[&environment[..], &[("HAWSER_DEFAULT_BACKEND", "nfs")]].concat(), &[]);
    assert_eq!(config.engine.defaults.backend, BackendKind::Nfs);
    let nfs = config.engine.defaults.nfs.unwrap();
    assert_eq!((nfs.exports, nfs.export.as_deref()), (vec!["default".to_owned()], Some("default")));
    // And it is the default one beside others.
    let config = configured(ONE, &environment, &[]);
    assert_eq!(config.engine.defaults.nfs.unwrap().chosen(), Some("default"));
    let twice = "[daemon]\ncluster = \"prod\"\n[backends.nfs]\nserver = \"a:/x\"\n\
                 [backends.nfs.default]\nserver = \"b:/x\"";
    one_mistake(twice, "backends.nfs.server makes an export of that name too");
}

#[test]
fn the_default_export_is_one_that_there_is() {
    let two = format!("{ONE}[backends.nfs.slow]\nserver = \"old:/x\"\n");
    let chosen = configured(&format!("{two}[backends.nfs]\ndefault_export = \"slow\""), &[], &[]);
    assert_eq!(chosen.engine.defaults.nfs.unwrap().chosen(), Some("slow"));
    one_mistake(
        &format!("{two}[backends.nfs]\ndefault_export = \"slwo\""),
        "default_export: slwo: there is no such export, of fast, slow",
    );
    one_mistake("[backends.nfs]\ndefault_export = \"x\"", "no export is configured");
    one_mistake(
        &format!("{two}[volumes]\ndefault_backend = \"nfs\""),
        "there are several exports and none is the default: set backends.nfs.default_export",
    );
    one_mistake("[volumes]\ndefault_backend = \"nfs\"", "no NFS server is configured");
    let config = configured(
        &format!("{ONE}[volumes]\ndefault_backend = \"nfs\"\ndefault_size = \"1MiB\""),
        &[],
        &[],
    );
    assert_eq!(config.engine.defaults.backend, BackendKind::Nfs);
}

#[test]
fn a_mistake_is_told_once_with_the_key_that_was_written() {
    for (file, told) in [
        ("timeo = \"0s\"", "backends.nfs.fast.timeo: 0s: must be from 100ms to 10m"),
        ("timeo = \"1.23s\"", "whole tenths of a second"),
        ("versions = \"4.3\"", "`4.3` is no version of NFS here: use 4.2, 4.1, 4.0 or 3"),
        ("versions = \"3,3\"", "3 is given twice"),
        ("versions = \"\"", "is no version"),
        ("port = 65536", "must be auto or a number from 1 to 65535"),
        ("control = \"v4\"", "must be auto, v3 or mount"),
        ("locks = \"remote\"", "must be refuse or local"),
        ("nconnect = 17", "must be auto or a number from 1 to 16"),
        ("rsize = 1000", "must be auto, or must be a number of bytes"),
        ("uid = 4294967295", "must be a number from 0 to 4294967294"),
        ("uid = \"+1\"", "must be a number"),
        ("options = \"soft\"", "gives up data"),
        ("options = \"fsc,vers=3\"", "`vers` is not accepted: it is hawser's own"),
        ("options = \"fsc,,x\"", "an option is empty"),
        ("over_limit = \"stop\"", "must be warn or refuse"),
        ("measure_rate = 0", "must be a number from 1"),
        ("region = \"eu-west-1\"", "it is for EFS file systems"),
        ("secret = \"x\"", "(secret is one for all: write backends.nfs.secret)"),
        (
            "default_export = \"x\"",
            "(default_export is one for all: write backends.nfs.default_export)",
        ),
        ("serve = \"x\"", "unknown key, the nearest is backends.nfs.fast.server"),
    ] {
        one_mistake(&format!("{ONE}{file}"), told);
    }
    let two = format!("{ONE}[backends.nfs.slow]\nserver = \"old:/x\"\n[backends.nfs]\nretrans = 0");
    one_mistake(&two, "hawser.toml: backends.nfs.retrans: 0: must be a number from 1 to 100");
    one_mistake("[backends.nfs]\nlocks = \"x\"", "backends.nfs.locks: x: must be refuse or local");
}

#[test]
fn a_section_that_is_no_export_says_what_is_one() {
    const HOW: &str = "(a section of its own is [backends.nfs.NAME], with a name of letters";
    for file in ["server.server", "\"a b\".server", "\"a.b\".server", "fast"] {
        let told = refused(&format!("[backends.nfs]\n{file} = \"x\""), &[]).to_string();
        assert!(told.contains(HOW), "{file}: {told}");
    }
    let told = refused("[daemon]\ncluster = \"prod\"\n[backends.nfs.fast]\n", &[]).to_string();
    assert!(told.contains("backends.nfs.fast: (a section): unknown key"), "{told}");
    one_mistake(
        "[daemon]\ncluster = \"prod\"\n[backends.nfs.fast]\nuid = 5",
        "hawser.toml: backends.nfs.fast.server: (not set): an export needs it",
    );
}

#[test]
fn the_secret_is_shown_nowhere() {
    let file = format!("{ONE}[backends.nfs]\nsecret = \"hunter2\"");
    let config = configured(&file, &[], &[]);
    assert_eq!(config.nfs.as_ref().unwrap().secret.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    let told = refused(&format!("{ONE}secret = \"hunter2\""), &[]).to_string();
    assert!(!told.contains("hunter2"), "{told}");
    assert!(!format!("{:?}", values(&file, &[], &[])).contains("hunter2"));
}

const EFS: &str =
    "[daemon]\ncluster = \"prod\"\n[backends.nfs.efs]\nserver = \"fs-0123456789abcdef0\"\n";

#[test]
fn efs_has_what_aws_recommends() {
    let config = configured(&format!("{EFS}region = \"eu-west-1\""), &[], &[]);
    let [efs] = &config.nfs.unwrap().exports[..] else { panic!("one export") };
    assert_eq!(efs.server.host, "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com");
    assert_eq!((&efs.versions[..], efs.control), (&[NfsVersion::V4_1][..], Control::Mount));
    assert_eq!((efs.rsize, efs.wsize), (Some(1_048_576), Some(1_048_576)));
    assert_eq!((efs.timeo, efs.retrans, efs.noresvport), (Duration::from_secs(60), 2, true));
}

#[test]
fn the_region_of_efs_comes_from_where_aws_is_configured() {
    let host = |file: &str, environment: &[(&str, &str)]| {
        configured(file, environment, &[]).nfs.unwrap().exports[0].server.host.clone()
    };
    let aws = [("AWS_REGION", "us-east-1")];
    assert!(host(EFS, &aws).ends_with(".efs.us-east-1.amazonaws.com"));
    let ebs = format!("{EFS}[backends.ebs]\nregion = \"us-west-2\"\nzone = \"us-west-2b\"");
    assert_eq!(host(&ebs, &aws), "us-west-2b.fs-0123456789abcdef0.efs.us-west-2.amazonaws.com");
    let own = format!(
        "{EFS}region = \"eu-west-1\"\nzone = \"eu-west-1c\"\n[backends.ebs]\nregion = \"us-west-2\""
    );
    assert_eq!(host(&own, &aws), "eu-west-1c.fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com");
    one_mistake(EFS, "the region of the EFS file system is not known: set `region`");
}

#[test]
fn what_efs_does_not_have_is_refused() {
    let efs = format!("{EFS}region = \"eu-west-1\"\n");
    one_mistake(&format!("{efs}versions = \"4.1,3\""), "EFS has no version 3: use 4.1 or 4.0");
    one_mistake(&format!("{efs}control = \"v3\""), "EFS has no NFSv3: use auto or mount");
    let point = efs.replace("fs-0", "fsap-0");
    one_mistake(&point, "name the file system and the access point's directory");
}
