use super::*;
use crate::spec::{
    Asked, AttachPolicy, EbsType, OnRemove, Preempt, Provision, Request, Scale, Sharing, Sticky,
    parse,
};

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
fn a_shared_volume_has_the_file_system_that_keeps_what_other_nodes_were_told() {
    assert_eq!(resolved("name=a,shared=true").unwrap().fs, FsType::Xfs);
    assert_eq!(resolved("name=a,shared=true,fs=ext4").unwrap().fs, FsType::Ext4);
    assert_eq!(resolved("name=a,shared=false").unwrap().fs, FsType::Ext4);
    let why = resolved("name=a,shared=true,size=64MiB").unwrap_err().to_string();
    assert!(why.contains("too small for xfs"), "{why}");

    let nfs = Defaults { backend: BackendKind::Nfs, ..Defaults::with_nfs() };
    for (text, fs) in
        [("name=a,shared=true", FsType::Ext4), ("name=a,shared=true,layout=image", FsType::Xfs)]
    {
        let request = request(text);
        assert_eq!(request.stated.resolve(&request.name, &nfs).unwrap().fs, fs, "{text}");
    }
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
fn root_is_squashed_by_the_owner_of_a_shared_volume_and_by_nobody_else() {
    assert_eq!(resolved("name=a,shared=true").unwrap().squash, Squash::None);
    assert_eq!(resolved("name=a,shared=true,squash=root").unwrap().squash, Squash::Root);
    for (text, why) in [
        ("name=a,squash=root", "`squash` is refused: tasks of other nodes do not reach"),
        ("name=a,shared=false,squash=none", "write shared=true"),
        ("name=a,scale=2,squash=root", "`squash` is refused"),
        ("name=a,shared=true,squash=all", "`squash=all`: use none or root"),
    ] {
        let told = match parse(text, []) {
            Ok(_) => resolved(text).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(why), "{text}: {told}");
    }
    let request = request("name=a,backend=nfs,shared=true,squash=root");
    let refused = request.stated.resolve(&request.name, &Defaults::with_nfs()).unwrap_err();
    assert!(refused.to_string().contains("in that server's export"), "{refused}");
}

#[test]
fn a_volume_that_exists_is_squashed_as_it_was_made() {
    let spec = resolved("name=a,shared=true,squash=root").unwrap();
    let differs = |text: &str| {
        let request = request(text);
        let found = request.stated.first_difference(&request.name, &spec, spec.size);
        found.map(|difference| difference.to_string())
    };
    assert_eq!(differs("name=a,squash=root"), None);
    assert_eq!(differs("name=a,shared=true"), None);
    let told = differs("name=a,squash=none").unwrap();
    assert!(told.contains("exists with squash=root, and squash=none is asked"), "{told}");
}

#[test]
fn what_is_done_about_a_silent_node_is_said_of_what_can_be_taken_from_one() {
    let on = |defaults: &Defaults, text: &str| {
        let request = request(text);
        request.stated.resolve(&request.name, defaults).map_err(|error| error.to_string())
    };
    let ebs = Defaults::with_ebs();
    for (text, preempt) in [
        ("name=a,backend=ebs", Preempt::DeadOnly),
        ("name=a,backend=ebs,preempt=dead-only", Preempt::DeadOnly),
        ("name=a,backend=ebs,preempt=Force", Preempt::Force),
        ("name=a,backend=ebs,preempt=never", Preempt::Never),
        ("name=a,backend=ebs,preempt=false", Preempt::Never),
    ] {
        assert_eq!(on(&ebs, text).unwrap().preempt, preempt, "{text}");
    }
    let nfs = Defaults::with_nfs();
    for (defaults, text, why) in [
        (&ebs, "name=a,preempt=never", "`preempt` is refused: a local volume is on a disk of"),
        (&nfs, "name=a,backend=nfs,preempt=force", "a directory on an NFS server is no node's"),
        (&nfs, "name=a,layout=image,preempt=force", "from writing to an image"),
    ] {
        let told = on(defaults, text).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn what_this_node_cannot_provide_is_refused_with_the_reason() {
    for (text, why) in [
        ("a,size=15M", "`size`: 15MiB is too small for ext4: ask for 16MiB or more"),
        ("a,size=299M,fs=xfs", "`size`: 299MiB is too small for xfs: ask for 300MiB or more"),
        ("a,backend=ebs", "`backend` needs the ebs backend, which is not configured on this node"),
        ("a,volumeType=gp3", "`volumeType` needs the ebs backend, which is not configured"),
        ("a,export=fast", "`export` needs the nfs backend, which is not configured"),
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
fn a_group_of_volumes_says_what_each_of_them_is() {
    let spec = resolved("a,scale=3,size=1GiB").unwrap();
    assert_eq!(spec.scale, Some(Scale::try_from(3).unwrap()));
    let member = spec.of_member(2);
    assert_eq!(member, Spec { scale: None, ..spec });

    let nfs = Defaults { backend: BackendKind::Nfs, ..Defaults::with_nfs() };
    let asked = request("a,scale=3,path=team/a");
    let spec = asked.stated.resolve(&asked.name, &nfs).unwrap();
    let BackendSpec::Nfs(of_member) = spec.of_member(12).backend else { panic!("not on nfs") };
    assert_eq!(of_member.path, "team/a_012", "each has a directory of its own");

    let long = format!("{},scale=3", "a".repeat(125));
    let told = resolved(&long).unwrap_err().to_string();
    assert!(told.contains("the name leaves no room for that"), "{told}");
}

#[test]
fn a_key_of_another_backend_is_never_ignored() {
    let ebs = Defaults { backend: BackendKind::Ebs, ..Defaults::of_tests() };
    let by_default = request("a").stated.resolve(&"a".parse().unwrap(), &ebs);
    assert!(by_default.unwrap_err().to_string().contains("`backend` needs the ebs backend"));
    let thin = request("a,provision=thin").stated.resolve(&"a".parse().unwrap(), &ebs).unwrap();
    assert_eq!(thin.backend.kind(), BackendKind::Local);
}

#[test]
fn a_node_with_ebs_makes_what_is_asked_of_it() {
    let defaults = Defaults::with_ebs();
    let made = |text: &str| request(text).stated.resolve(&"a".parse().unwrap(), &defaults);
    let spec = made("a,iops=4000,throughput=500,attach=follow,zone=us-east-1a").unwrap();
    let BackendSpec::Ebs(ebs) = &spec.backend else { panic!("{spec:?}") };
    assert_eq!((ebs.volume_type, ebs.iops, ebs.throughput), (EbsType::Gp3, Some(4000), Some(500)));
    assert_eq!((ebs.zone.as_deref(), ebs.attach), (Some("us-east-1a"), AttachPolicy::Follow));
    assert_eq!(made("a").unwrap().backend.kind(), BackendKind::Local);
    assert_eq!(made("a,backend=ebs,shared=true").unwrap().sharing, Sharing::Shared);
    let told = made("a,backend=nfs").unwrap_err().to_string();
    assert!(told.contains("name a server in the daemon's configuration"), "{told}");
}

#[test]
fn ebs_volumes_are_of_whole_gib_rounded_up() {
    let defaults = Defaults::with_ebs();
    let size = |text: &str| {
        request(text).stated.resolve(&"a".parse().unwrap(), &defaults).map(|spec| spec.size)
    };
    assert_eq!(size("a,type=gp3,size=1536M"), Ok(Bytes::gib(2)));
    assert_eq!(size("a,type=gp3,size=1B"), Ok(Bytes::gib(1)));
    assert_eq!(size("a,type=io1,iops=100,size=3500M"), Ok(Bytes::gib(4)));
    assert_eq!(size("a,size=1536M"), Ok(Bytes::mib(1536)));
}

#[test]
fn a_missing_ebs_backend_says_what_turns_it_on() {
    let told = resolved("a,type=gp3").unwrap_err().to_string();
    assert!(told.contains("turn the backend on with backends.ebs.enabled"), "{told}");
}

#[test]
fn an_ebs_volume_has_no_more_labels_than_ec2_has_tags() {
    let resolved = |count: usize| {
        let labels: String =
            (0..count).map(|n| format!(",label.k{n}={}", "x".repeat(20))).collect();
        let request = request(&format!("a,type=gp3{labels}"));
        request.stated.resolve(&request.name, &Defaults::with_ebs())
    };
    assert!(resolved(30).is_ok());
    let told = resolved(40).unwrap_err().to_string();
    assert!(told.contains("40 labels, and 7 tags for the spec"), "{told}");
}
