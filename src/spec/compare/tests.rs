use super::*;
use crate::spec::{Defaults, parse_options};

#[test]
fn what_is_done_about_a_silent_node_is_compared_and_can_be_set() {
    let (name, defaults) = ("pg".parse().unwrap(), Defaults::with_ebs());
    let spec = parse_options([("backend", "ebs")]).unwrap().resolve(&name, &defaults).unwrap();
    let asked = |preempt| {
        let asked = parse_options([("preempt", preempt)]).unwrap();
        asked.first_difference(&name, &spec, Bytes::gib(10)).map(|found| found.to_string())
    };
    assert_eq!(asked("dead-only"), None);
    let told = asked("force").unwrap();
    assert!(told.contains("preempt=dead-only, and preempt=force is asked"), "{told}");
    assert!(told.contains("hawser volume set pg -o 'preempt=force'"), "{told}");
    let told = differs(&[], &[("preempt", "never")]).unwrap();
    assert!(told.contains("no `preempt`") && told.contains("another volume name"), "{told}");
}

fn differs(existing: &[(&str, &str)], asked: &[(&str, &str)]) -> Option<String> {
    let defaults = Defaults::of_tests();
    let name = "pg".parse().unwrap();
    let spec = parse_options(existing.iter().copied()).unwrap().resolve(&name, &defaults);
    let asked = parse_options(asked.iter().copied()).unwrap();
    let difference = asked.first_difference(&name, &spec.unwrap(), Bytes::gib(10));
    difference.map(|difference| difference.to_string())
}

#[test]
fn what_is_not_stated_agrees() {
    assert_eq!(differs(&[("fs", "xfs"), ("sticky", "on"), ("label.a", "b")], &[]), None);
}

#[test]
fn the_same_statement_agrees_however_it_is_written() {
    let existing =
        [("fs", "xfs"), ("mount_options", "noatime;sync"), ("label.a", "b"), ("uid", "5")];
    assert_eq!(differs(&existing, &existing), None);
    assert_eq!(differs(&existing, &[("mount_options", "sync,noatime")]), None);
    assert_eq!(
        differs(&existing, &[("newFsType", "XFS"), ("fsOwner", "5:6")]).map(|_| ()),
        Some(())
    );
    assert_eq!(differs(&[("shared", "1")], &[("sharedv4", "true")]), None);
}

#[test]
fn a_size_at_or_below_the_present_one_agrees() {
    assert_eq!(differs(&[], &[("size", "1G")]), None);
    assert_eq!(differs(&[], &[("size", "10G")]), None);
    assert_eq!(
        differs(&[], &[("size", "20G")]).unwrap(),
        "volume `pg` exists with size=10GiB, and size=20GiB is asked: grow it with `hawser \
         volume grow pg 20GiB`"
    );
}

#[test]
fn the_first_difference_is_told_with_what_to_do() {
    assert_eq!(
        differs(&[], &[("sticky", "true"), ("fs", "xfs")]).unwrap(),
        "volume `pg` exists with fs=ext4, and fs=xfs is asked: remove fs from the spec, or \
         use another volume name"
    );
    assert_eq!(
        differs(&[("label.team", "a")], &[("label.team", "b")]).unwrap(),
        "volume `pg` exists with label.team=a, and label.team=b is asked: remove label.team \
         from the spec, or change the volume with `hawser volume set pg -o 'label.team=b'`"
    );
    for (asked, told) in [
        (("scale", "3"), "exists with no `scale`, and scale=3"),
        (("iops", "100"), "exists with no `iops`, and iops=100"),
        (("backend", "nfs"), "exists with backend=local, and backend=nfs"),
        (("uid", "0"), "exists with no `uid`, and uid=0"),
        (("mkfs_options", "-m;1"), "exists with no `mkfs_options`, and mkfs_options=-m;1"),
        (("shared", "true"), "exists with shared=false, and shared=true"),
    ] {
        let found = differs(&[], &[asked]).unwrap();
        assert!(found.contains(told), "{found}");
    }
}

fn differs_on_ebs(existing: &[(&str, &str)], asked: &[(&str, &str)]) -> Option<String> {
    let name = "pg".parse().unwrap();
    let existing = [&[("backend", "ebs")], existing].concat();
    let existing = parse_options(existing).unwrap().resolve(&name, &Defaults::with_ebs());
    let asked = parse_options(asked.iter().copied()).unwrap();
    let difference = asked.first_difference(&name, &existing.unwrap(), Bytes::gib(10));
    difference.map(|difference| difference.to_string())
}

fn differs_on_nfs(existing: &[(&str, &str)], asked: &[(&str, &str)]) -> Option<String> {
    let name = "pg".parse().unwrap();
    let existing = [&[("backend", "nfs")], existing].concat();
    let existing = parse_options(existing).unwrap().resolve(&name, &Defaults::with_nfs());
    let asked = parse_options(asked.iter().copied()).unwrap();
    let difference = asked.first_difference(&name, &existing.unwrap(), Bytes::gib(10));
    difference.map(|difference| difference.to_string())
}

#[test]
fn the_keys_of_nfs_are_compared() {
    let existing = [("export", "slow"), ("path", "team/pg"), ("layout", "directory")];
    assert_eq!(differs_on_nfs(&existing, &existing), None);
    assert_eq!(differs_on_nfs(&existing, &[("path", "/team/pg"), ("mode", "directory")]), None);
    assert_eq!(differs_on_nfs(&[], &[("export", "fast"), ("path", "pg")]), None);
    for (asked, told) in [
        (("export", "fast"), "exists with export=slow, and export=fast is asked: remove export"),
        (("path", "pg"), "exists with path=team/pg, and path=pg is asked"),
        (("layout", "image"), "exists with layout=directory, and layout=image is asked"),
        (("fs", "ext4"), "exists with no `fs`, and fs=ext4 is asked"),
        (("size", "20"), "`hawser volume grow pg 20GiB`"),
    ] {
        let found = differs_on_nfs(&existing, &[asked]).unwrap();
        assert!(found.contains(told), "{found}");
    }
    // A directory is shared by whoever mounts it.
    for existing in [&[][..], &[("shared", "true")], &[("shared", "false")]] {
        assert_eq!(differs_on_nfs(existing, &[("shared", "true")]), None);
        assert_eq!(differs_on_nfs(existing, &[("shared", "false")]), None);
    }
    let image = differs_on_nfs(&[("layout", "image")], &[("shared", "true")]).unwrap();
    assert!(image.contains("exists with shared=false, and shared=true"), "{image}");
}

#[test]
fn the_keys_of_ebs_are_compared() {
    let existing = [
        ("type", "gp3"),
        ("iops", "4000"),
        ("throughput", "500"),
        ("kms_key", "arn:aws:kms:us-east-1:123456789012:key/1234abcd"),
        ("zone", "us-east-1a"),
        ("snapshot", "snap-01234567"),
        ("attach", "follow"),
    ];
    assert_eq!(differs_on_ebs(&existing, &existing), None);
    assert_eq!(differs_on_ebs(&existing, &[("kms_key", "1234abcd"), ("encrypted", "on")]), None);
    // What the type has without a word is what it has when it is stated.
    assert_eq!(differs_on_ebs(&[], &[("iops", "3000"), ("throughput", "125")]), None);
    for (asked, told) in [
        (
            ("type", "io2"),
            "exists with type=gp3, and type=io2 is asked: remove type from the spec, or change the volume with `hawser volume set pg -o 'type=io2'`",
        ),
        (("iops", "5000"), "`hawser volume set pg -o 'iops=5000'`"),
        (("throughput", "600"), "`hawser volume set pg -o 'throughput=600'`"),
        (("attach", "stay"), "`hawser volume set pg -o 'attach=stay'`"),
        (
            ("encrypted", "no"),
            "exists with encrypted=true, and encrypted=false is asked: remove encrypted from the spec, or use another",
        ),
        (("kms_key", "other"), "or use another volume name"),
        (
            ("zone", "us-east-1b"),
            "exists with zone=us-east-1a, and zone=us-east-1b is asked: remove zone",
        ),
        (("snapshot", "snap-76543210"), "or use another volume name"),
        (("size", "20"), "`hawser volume grow pg 20GiB`"),
    ] {
        let found = differs_on_ebs(&existing, &[asked]).unwrap();
        assert!(found.contains(told), "{found}");
    }
    // A local volume has no such key to change.
    let found = differs(&[], &[("iops", "4000")]).unwrap();
    assert!(found.contains("exists with no `iops`") && found.contains("another volume name"));
}
