use super::*;
use crate::spec::{AttachPolicy, BackendSpec, Defaults, EbsType, parse_options};

fn made_with(defaults: &Defaults, options: &[(&str, &str)]) -> Result<EbsSpec, String> {
    let defaults = Defaults { backend: crate::spec::BackendKind::Ebs, ..defaults.clone() };
    let stated = parse_options(options.iter().copied()).map_err(|error| error.to_string())?;
    match stated
        .resolve(&"a".parse().unwrap(), &defaults)
        .map_err(|error| error.to_string())?
        .backend
    {
        BackendSpec::Ebs(ebs) => Ok(ebs),
        other @ (BackendSpec::Local(_) | BackendSpec::Nfs(_)) => panic!("{other:?}"),
    }
}

fn made(options: &[(&str, &str)]) -> Result<EbsSpec, String> {
    made_with(&Defaults::with_ebs(), options)
}

fn change(of: &[(&str, &str)], options: &[(&str, &str)], gib: u64) -> Result<EbsSpec, String> {
    let stated = parse_options(options.iter().copied()).unwrap();
    made(of).unwrap().changed(&stated, Bytes::gib(gib)).map_err(|error| error.to_string())
}

#[test]
fn what_is_not_stated_comes_from_the_configuration() {
    let mut defaults = Defaults::with_ebs();
    defaults.ebs = Some(EbsDefaults {
        volume_type: EbsType::Gp2,
        encrypted: Some(true),
        kms_key: Some("alias/k".to_owned()),
        zone: Some("us-east-1a".to_owned()),
        attach: AttachPolicy::Follow,
    });
    let spec = made_with(&defaults, &[]).unwrap();
    assert_eq!((spec.volume_type, spec.attach), (EbsType::Gp2, AttachPolicy::Follow));
    assert_eq!((spec.encrypted, spec.kms_key.as_deref()), (Some(true), Some("alias/k")));
    assert_eq!(spec.zone.as_deref(), Some("us-east-1a"));
    let spec =
        made_with(&defaults, &[("encrypted", "no"), ("zone", "z"), ("type", "gp3")]).unwrap();
    assert_eq!((spec.encrypted, spec.kms_key), (Some(false), None));
    assert_eq!((spec.volume_type, spec.zone.as_deref()), (EbsType::Gp3, Some("z")));
    let told = made_with(&defaults, &[("iops", "4000")]).unwrap_err();
    assert!(told.contains("iops needs type=gp3, io1 or io2; the type is gp2"), "{told}");
}

#[test]
fn a_key_encrypts() {
    let spec = made(&[("kms_key", "alias/k")]).unwrap();
    assert_eq!(spec.encrypted, Some(true));
    assert_eq!(made(&[]).unwrap().encrypted, None);
    assert!(made(&[("kms_key", "k"), ("encrypted", "no")]).unwrap_err().contains("contradict"));
}

#[test]
fn a_snapshot_brings_its_file_system() {
    let snapshot = ("snapshot", "snap-0123456789abcdef0");
    assert!(made(&[snapshot]).unwrap().snapshot.is_some());
    // Nobody knows yet which file system it is.
    assert!(made(&[snapshot, ("mount_options", "logbufs=8")]).is_ok());
    for other in
        [("fs", "xfs"), ("uid", "1"), ("gid", "1"), ("mode", "0700"), ("mkfs_options", "-m;1")]
    {
        let told = made(&[snapshot, other]).unwrap_err();
        assert!(told.contains("the file system comes with the snapshot"), "{told}");
    }
    assert!(made(&[("snapshot", "mysnap")]).unwrap_err().contains("not the id of a snapshot"));
}

#[test]
fn performance_and_attachment_change_later() {
    let spec = change(&[], &[("iops", "4000"), ("throughput", "500")], 10).unwrap();
    assert_eq!((spec.iops, spec.throughput), (Some(4000), Some(500)));
    assert_eq!(change(&[], &[("attach", "follow")], 10).unwrap().attach, AttachPolicy::Follow);
    assert_eq!(change(&[], &[("sticky", "true")], 10), made(&[]));
    // A grow alone: the limits hold for the new size.
    assert!(change(&[], &[], 65_537).unwrap_err().contains("gp3 takes 1GiB to 64TiB"));
}

#[test]
fn another_type_keeps_what_it_takes() {
    let fast = [("iops", "4000"), ("throughput", "500")];
    let spec = change(&fast, &[("type", "io2")], 10).unwrap();
    assert_eq!((spec.volume_type, spec.iops, spec.throughput), (EbsType::Io2, Some(4000), None));
    let spec = change(&[], &[("type", "io2")], 10).unwrap();
    assert_eq!(spec.iops, Some(3000), "a gp3 volume has 3000, stated or not");
    let spec = change(&fast, &[("type", "gp2")], 10).unwrap();
    assert_eq!((spec.iops, spec.throughput), (None, None));
    let told = change(&fast, &[("type", "io1")], 10).unwrap_err();
    assert!(told.contains("write iops=500 or less, or size=80GiB or more"), "{told}");
    assert!(change(&[("type", "gp2")], &[("type", "io1")], 10).unwrap_err().contains("add iops=N"));
    let told = change(&[], &[("type", "st1")], 10).unwrap_err();
    assert!(told.contains("st1 takes 125GiB"), "{told}");
}

#[test]
fn what_ebs_cannot_change_is_refused_unless_it_is_so_already() {
    let of = [("kms_key", "alias/k"), ("zone", "us-east-1a"), ("snapshot", "snap-01234567")];
    assert_eq!(change(&of, &of, 10), made(&of));
    assert_eq!(change(&of, &[("encrypted", "true")], 10), made(&of));
    for (option, told) in [
        (("encrypted", "false"), "`encrypted` is refused: EBS cannot encrypt or decrypt"),
        (("encryptionKey", "alias/l"), "`encryptionKey` is refused: EBS cannot change the key"),
        (("zone", "us-east-1b"), "stays in its availability zone"),
        (("snapshot", "snap-76543210"), "a snapshot is what a volume is made from"),
    ] {
        let found = change(&of, &[option], 10).unwrap_err();
        assert!(found.contains(told), "{found}");
    }
}

#[test]
fn a_kms_key_is_known_by_its_arn_too() {
    let text = |text: &str| Value::Text(text.to_owned());
    let arn = text("arn:aws:kms:us-east-1:123456789012:key/1234abcd");
    for same in ["1234abcd", "key/1234abcd"] {
        assert!(same_key(&arn, &text(same)) && same_key(&text(same), &arn), "{same}");
    }
    for other in ["abcd", "alias/k", "arn:aws:kms:us-east-1:123456789012:key/other"] {
        assert!(!same_key(&arn, &text(other)), "{other}");
    }
}
