use super::*;
use crate::spec::{Asked, OnRemove, Provision, Request, Sharing, Sticky, parse};

fn request(text: &str) -> Request {
    match parse(text, []) {
        Ok(Asked::Volume(request)) => request,
        other => panic!("{text}: {other:?}"),
    }
}

fn resolved(text: &str) -> Result<Spec, SpecError> {
    let request = request(text);
    request.stated.resolve(&request.name, &Defaults::of_tests())
}

#[test]
fn a_plain_name_gets_the_defaults() {
    let spec = resolved("pgdata").unwrap();
    assert_eq!((spec.size, spec.fs), (Bytes::gib(10), FsType::Ext4));
    assert_eq!((spec.sharing, spec.sticky), (Sharing::Exclusive, Sticky::No));
    assert_eq!(spec.owner, Ownership::default());
    assert_eq!(spec.backend, BackendSpec::Local(LocalSpec { provision: Provision::Thick }));
}

#[test]
fn an_anonymous_volume_has_a_size_of_its_own() {
    assert_eq!(resolved(&"0a".repeat(32)).unwrap().size, Bytes::gib(1));
}

#[test]
fn every_stated_field_arrives_in_the_spec() {
    let spec = resolved(
        "name=a,size=20,fs=xfs,shared=true,mount_options=noatime,mkfs_options=-m;reflink=1,\
         uid=1,gid=2,mode=0700,provision=thin,on_remove=retain,sticky=yes,label.team=web",
    )
    .unwrap();
    assert_eq!((spec.size, spec.fs), (Bytes::gib(20), FsType::Xfs));
    assert_eq!((spec.sharing, spec.sticky), (Sharing::Shared, Sticky::Yes));
    assert_eq!(spec.mount_options, ["noatime"]);
    assert_eq!(spec.mkfs_options, ["-m", "reflink=1"]);
    assert_eq!((spec.owner.uid, spec.owner.gid), (Some(1), Some(2)));
    assert_eq!(spec.owner.mode.map(|mode| mode.bits()), Some(0o700));
    assert_eq!(spec.backend, BackendSpec::Local(LocalSpec { provision: Provision::Thin }));
    assert_eq!(spec.on_remove, Some(OnRemove::Retain));
    assert_eq!(spec.labels.get("team").map(String::as_str), Some("web"));
}

#[test]
fn what_this_node_cannot_provide_is_refused_with_the_reason() {
    for (text, why) in [
        ("a,size=15M", "`size`: 15MiB is too small for ext4: ask for 16MiB or more"),
        ("a,size=299M,fs=xfs", "`size`: 299MiB is too small for xfs: ask for 300MiB or more"),
        ("a,scale=3", "`scale` is refused: sets of volumes are not served yet"),
        ("a,scale=1", "`scale` is refused: sets of volumes are not served yet"),
        ("a,backend=ebs", "`backend` needs the ebs backend, which is not configured on this node"),
        ("a,volumeType=gp3", "`volumeType` needs the ebs backend, which is not configured"),
        ("a,server=filer", "`server` needs the nfs backend, which is not configured"),
        ("a,fs=xfs,mount_options=commit=5", "`commit` is not an option of xfs"),
        ("a,mkfs_options=-m;reflink=1", "for ext4, `-m` takes a percentage"),
    ] {
        let found = resolved(text).unwrap_err().to_string();
        assert!(found.contains(why), "{text}: {found}");
    }
    for text in ["a,size=16M", "a,size=300M,fs=xfs"] {
        assert!(resolved(text).is_ok(), "{text}");
    }
}

#[test]
fn a_key_of_another_backend_is_never_ignored() {
    let ebs = Defaults { backend: BackendKind::Ebs, ..Defaults::of_tests() };
    let by_default = request("a").stated.resolve(&"a".parse().unwrap(), &ebs);
    assert!(by_default.unwrap_err().to_string().contains("`backend` needs the ebs backend"));
    let thin = request("a,provision=thin").stated.resolve(&"a".parse().unwrap(), &ebs).unwrap();
    assert_eq!(thin.backend.kind(), BackendKind::Local);
}
