use super::*;
use crate::spec::{Defaults, parse_options};

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
         from the spec, or change the volume with `hawser volume set pg 'label.team=b'`"
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
