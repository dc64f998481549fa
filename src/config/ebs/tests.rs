use super::super::{
    Config, Mistakes,
    tests::{configured, values},
};
use super::*;
use crate::spec::{BackendKind, EbsType};

const ON: &str = "[daemon]\ncluster = \"prod\"\n[backends.ebs]\nenabled = true\n";

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
fn the_backend_is_off_until_it_is_turned_on() {
    let config = configured("[backends.ebs]\nregion = \"us-east-1\"");
    assert_eq!((config.ebs, config.engine.defaults.ebs), (None, None));
}

#[test]
fn a_name_for_the_cluster_is_all_that_it_needs() {
    let config = configured(ON);
    let ebs = config.ebs.unwrap();
    assert_eq!((ebs.cluster.as_str(), ebs.region, ebs.credentials), ("prod", None, None));
    assert_eq!((ebs.attach_limit, ebs.attach_timeout), (None, Duration::from_secs(90)));
    assert_eq!(ebs.force_detach_after, Duration::from_secs(300));
    assert_eq!((ebs.dev_dir, ebs.sys_dir), ("/dev".into(), "/sys".into()));
    let defaults = config.engine.defaults.ebs.unwrap();
    assert_eq!((defaults.volume_type, defaults.attach), (EbsType::Gp3, AttachPolicy::Stay));
    assert_eq!((defaults.encrypted, defaults.kms_key, defaults.zone), (None, None, None));
    assert_eq!(config.engine.defaults.backend, BackendKind::Local);
}

#[test]
fn every_setting_arrives() {
    let config = configured(&format!(
        "{ON}region = \"eu-west-1\"\nendpoint = \"http://127.0.0.1:5000\"\nzone = \"eu-west-1a\"\n\
         instance_id = \"i-0abc\"\naccess_key = \"AKIA\"\nsecret_key = \"hunter2\"\ntype = \"gp2\"\n\
         encrypted = \"true\"\nkms_key = \"alias/k\"\ntags = \"team=web, cost=a b\"\n\
         attach = \"follow\"\nattach_limit = 12\nattach_timeout = \"1m\"\n\
         force_detach_after = \"2m\"\ndev_dir = \"/host/dev\"\nsys_dir = \"/host/sys\"\n\
         [volumes]\ndefault_backend = \"ebs\""
    ));
    let ebs = config.ebs.clone().unwrap();
    assert_eq!(ebs.region.as_deref(), Some("eu-west-1"));
    assert_eq!(ebs.endpoint.as_deref(), Some("http://127.0.0.1:5000"));
    assert_eq!(
        (ebs.zone.as_deref(), ebs.instance_id.as_deref()),
        (Some("eu-west-1a"), Some("i-0abc"))
    );
    let credentials = ebs.credentials.unwrap();
    assert_eq!((credentials.access_key(), credentials.secret_key()), ("AKIA", "hunter2"));
    assert_eq!(ebs.tags.get("cost").map(String::as_str), Some("a b"));
    assert_eq!((ebs.attach_limit, ebs.attach_timeout), (Some(12), Duration::from_secs(60)));
    assert_eq!((ebs.dev_dir, ebs.sys_dir), ("/host/dev".into(), "/host/sys".into()));
    let defaults = config.engine.defaults.ebs.clone().unwrap();
    assert_eq!((defaults.encrypted, defaults.kms_key.as_deref()), (Some(true), Some("alias/k")));
    assert_eq!(defaults.zone.as_deref(), Some("eu-west-1a"));
    assert_eq!(config.engine.defaults.backend, BackendKind::Ebs);
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("AKIA"), "{shown}");
}

#[test]
fn what_cannot_be_is_a_mistake_that_says_what_to_do() {
    one_mistake("[backends.ebs]\nenabled = true", "enabled: true: it needs daemon.cluster");
    one_mistake(
        "[volumes]\ndefault_backend = \"ebs\"",
        "the EBS backend is off: set backends.ebs.enabled",
    );
    one_mistake("[volumes]\ndefault_backend = \"nfs\"", "no NFS server is configured");
    for (line, told) in [
        ("region = \"us east\"", "region: us east: use letters"),
        ("endpoint = \"ec2.local\"", "not a URL"),
        ("instance_id = \"vol-0abc\"", "not an instance id"),
        ("type = \"gp4\"", "type: gp4: "),
        ("type = \"io2\"", "io2 needs iops, which a volume states itself"),
        ("encrypted = \"yes\"", "must be account, true or false"),
        ("encrypted = false\nkms_key = \"k\"", "contradicts backends.ebs.kms_key"),
        ("attach = \"never\"", "use stay or follow"),
        ("attach_limit = 0", "must be auto or a number above 0"),
        ("attach_timeout = \"0s\"", "must be longer than 0"),
        ("dev_dir = \"dev\"", "must be an absolute path"),
        ("access_key = \"AKIA\"", "backends.ebs.secret_key is missing"),
        ("secret_key = \"hunter2\"", "backends.ebs.access_key is missing"),
    ] {
        one_mistake(&format!("{ON}{line}"), told);
        if !line.contains("hunter2") {
            // Wrong today, not only when it is turned on.
            one_mistake(&format!("[backends.ebs]\n{line}"), told);
        }
    }
    one_mistake("[daemon]\ncluster = \"a b\"", "1 to 64 letters");
    one_mistake(
        &format!(
            "{ON}type = \"st1\"\n[volumes]\ndefault_backend = \"ebs\"\nanonymous_size = \"200GiB\""
        ),
        "default_size: 10GiB: backends.ebs.type is st1, which takes 125GiB to 16TiB",
    );
}

#[test]
fn tags_are_what_ec2_takes() {
    let long = "x".repeat(129);
    for (tags, told) in [
        ("team", "`team` is not a tag"),
        ("=x", "a tag has no key"),
        ("a=1,a=2", "given twice"),
        ("aws:x=1", "those that begin with aws: are AWS's"),
        ("AWS:x=1", "those that begin with aws: are AWS's"),
        ("hawser:cluster=x", "is hawser's own"),
        ("Name=x", "is hawser's own"),
        ("a=#", "use letters, digits"),
        (&format!("{long}=x"), "too long"),
        (&format!("a={long}{long}"), "too long"),
        ("a=1,b=2,c=3,d=4,e=5", "at most 4"),
    ] {
        one_mistake(&format!("{ON}tags = \"{tags}\""), told);
    }
    assert!(configured(&format!("{ON}tags = \"a=\"")).ebs.unwrap().tags.contains_key("a"));
}

#[test]
fn a_secret_is_never_shown() {
    let secret = "hunter2";
    for (file, environment) in [
        ("[backends.ebs]\nsecret_key = \"hunter2 \"\naccess_key = \"hunter2\"", &[][..]),
        ("[backends.ebs]\nsecret_key = \"hunter2\"", &[]),
        ("[backends.ebs]\nsecretkey = \"hunter2\"", &[]),
        ("[backends.ebs]\nsecret_key = \"hunter2", &[]),
        ("[backends.ebs]\nsecret_key = hunter2", &[]),
        ("[ebs]\naccessKey = \"hunter2\"", &[]),
        ("[[ebs]]\naccessKey = \"hunter2\"", &[]),
        ("", &[("HAWSER_EBS_SECRETKEY", "hunter2")]),
        ("", &[("EBS_SECRETKEY", "hunter2"), ("HAWSER_EBS_SECRET_KEY", "hunter2x")]),
    ] {
        let found = refused(file, environment);
        assert!(!format!("{found} {found:?}").contains(secret), "{file}: {found}");
    }
    let shown = format!("{:?}", values("[backends.ebs]\nsecret_key = \"hunter2\"", &[], &[]));
    assert!(!shown.contains(secret) && shown.contains("secret_key"), "{shown}");
}

#[test]
fn rex_rays_environment_is_understood() {
    let environment = [
        ("EBS_ACCESSKEY", "AKIA"),
        ("EBS_SECRETKEY", "hunter2"),
        ("EBS_REGION", "us-west-2"),
        ("EBS_ENDPOINT", ""),
        ("EBS_KMSKEYID", "alias/k"),
        ("REXRAY_FSTYPE", "xfs"),
        ("REXRAY_LOGLEVEL", "warning"),
        ("HAWSER_EBS_REGION", "us-west-2"),
        ("HAWSER_LOG", ""),
        ("EBS_MAXRETRIES", "10"),
    ];
    let config = Config::read(values(ON, &environment, &[])).unwrap();
    let ebs = config.ebs.unwrap();
    assert_eq!((ebs.region.as_deref(), ebs.endpoint), (Some("us-west-2"), None));
    assert!(ebs.credentials.is_some());
    let defaults = config.engine.defaults;
    assert_eq!(defaults.ebs.unwrap().kms_key.as_deref(), Some("alias/k"));
    assert_eq!((defaults.fs, config.log.as_str()), (crate::spec::FsType::Xfs, "warn"));
}

#[test]
fn two_names_of_a_setting_must_agree() {
    let told = refused(ON, &[("EBS_REGION", "us-east-1"), ("HAWSER_EBS_REGION", "us-west-2")]);
    assert_eq!(
        told.to_string(),
        "environment: HAWSER_EBS_REGION: us-west-2: EBS_REGION is set too, to something else \
         (us-east-1): they are names of one setting, set one of them"
    );
}
