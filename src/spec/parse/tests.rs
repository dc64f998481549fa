use proptest::prelude::*;

use super::*;
use crate::spec::{Bytes, Value, label, peers::PEERS};

fn request(name: &str, options: &[(&str, &str)]) -> Request {
    match parse(name, options.iter().copied()) {
        Ok(Asked::Volume(request)) => request,
        other => panic!("{name} {options:?}: {other:?}"),
    }
}

#[track_caller]
fn refused(name: &str, options: &[(&str, &str)], why: &str) {
    let found = parse(name, options.iter().copied()).expect_err(name).to_string();
    assert!(found.contains(why), "{name} {options:?}: {found}");
}

#[test]
fn a_plain_name_states_nothing() {
    let request = request("pgdata", &[]);
    assert_eq!(request.name.as_str(), "pgdata");
    assert!(request.stated.is_empty());
    assert_eq!(request.canonical(), "name=pgdata");
}

#[test]
fn a_spec_means_the_same_inline_and_as_options() {
    let inline = request("name=pgdata,size=20GiB,fs=xfs", &[]);
    assert_eq!(inline.canonical(), "name=pgdata,size=20GiB,fs=xfs");
    assert_eq!(inline.stated.get(Key::Size), Some(&Value::Size(Bytes::gib(20))));
    for (name, options) in [
        ("pgdata,size=20GiB,fs=xfs", &[][..]),
        ("fs=xfs, size=20 ,NAME=pgdata", &[]),
        ("pgdata", &[("size", "20"), ("fsType", "XFS")]),
        ("pgdata,fs=xfs", &[("SIZE", "20480M")]),
    ] {
        assert_eq!(request(name, options), inline, "{name}");
    }
}

#[test]
fn keys_are_matched_without_regard_to_case_and_dashes() {
    for key in ["on_remove", "ON_REMOVE", "on-remove", "On-Remove"] {
        assert_eq!(request("a", &[(key, "retain")]).canonical(), "name=a,on_remove=retain");
    }
    // But a label's key is the user's.
    assert_eq!(request("a,LABEL.Team=Web", &[]).canonical(), "name=a,label.Team=Web");
}

#[test]
fn the_first_equals_sign_ends_the_key() {
    let request = request("a,mount_options=noatime;commit=30,label.q=x=y", &[]);
    assert_eq!(request.canonical(), "name=a,mount_options=noatime;commit=30,label.q=x=y");
}

#[test]
fn help_is_asked_for_by_an_option() {
    for options in [&[("help", "")][..], &[("HELP", "backends")], &[("size", "x"), ("help", "")]] {
        assert_eq!(parse("a", options.iter().copied()), Ok(Asked::Help));
    }
    assert_eq!(request("help", &[]).name.as_str(), "help");
}

#[test]
fn text_that_is_no_spec_is_refused() {
    refused("", &[], "the volume name is empty");
    refused("", &[("size", "1")], "the volume name is empty");
    refused("size=10", &[], "names no volume: add name=NAME");
    refused("a b", &[], "`a b` is not a volume name");
    refused("a/b", &[], "`a/b` is not a volume name");
    refused("name=a/b,size=1", &[], "`a/b` is not a volume name");
    refused("a,", &[], "an element of the spec is empty");
    refused(",", &[], "an element of the spec is empty");
    refused("a,,size=1", &[], "an element of the spec is empty");
    refused("a,=1", &[], "a value has no key");
    refused("a", &[("", "1")], "a value has no key");
    refused("a,size=", &[], "`size` has no value: write size=SIZE");
    refused("a", &[("shared", "")], "`shared` has no value: write shared=true|false");
    refused("a,shared", &[], "`shared` has no value: write shared=true|false");
    refused("a,name=", &[], "`name` has no value: write name=NAME");
    refused("a,label.x=", &[], "`label.x` has no value");
    refused("a,label=x", &[], "write KEY=TEXT;KEY=TEXT");
    refused("a,label.=x", &[], "`label.` is refused: a label's key takes");
    refused("a,label.hawser-x=x", &[], "hawser's own");
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    for (key, nearest) in [
        ("sise", "size"),
        ("siez", "size"),
        ("fs_tpye", "fstype"),
        ("mount_option", "mount_options"),
        ("onremove", "on_remove"),
        ("volumtype", "volumetype"),
        ("lable.team", "label.KEY"),
        ("nmae", "name"),
        ("provison", "provision"),
        ("passphrse", "passphrase"),
    ] {
        refused("a", &[(key, "1")], &format!("unknown key `{key}`: did you mean `{nearest}`?"));
    }
    refused("a", &[("zzzzzz", "1")], "unknown key `zzzzzz`: `-o help`");
    refused("a", &[(&"x".repeat(5000), "1")], "…`: `-o help`");
}

#[test]
fn a_key_is_given_once() {
    refused("a,size=1,size=1", &[], "`size` is given twice, as `size` and as `size`");
    refused("a,fs=xfs", &[("fsType", "xfs")], "`fs` is given twice, as `fs` and as `fsType`");
    refused("a,sharedv4=true,shared=true", &[], "as `sharedv4` and as `shared`");
    refused("a,name=a", &[], "`name` is given twice");
    refused("a", &[("name", "a")], "`name` is given twice, as `the volume's name` and as `name=`");
    refused("a,label.x=1,label.x=1", &[], "`label.x` is given twice");
    refused("a,label.x=1,ebs_tag_x=2", &[], "as `label.x` and as `ebs_tag_x`");
    refused("a,repl=1,repl=1", &[], "`repl` is given twice");
    refused("a,uid=1,fsOwner=1;2", &[], "`uid` is given twice");
    assert_eq!(request("a,label.x=1,label.y=1", &[]).canonical(), "name=a,label.x=1,label.y=1");
}

#[test]
fn contradictions_are_refused() {
    refused("a,scale=3,shared=true", &[], "`scale=3` and `shared=true` contradict");
    assert_eq!(request("a,scale=3,shared=no", &[]).canonical(), "name=a,shared=false,scale=3");
    refused("a,backend=local,iops=100", &[], "`backend=local` and `iops` contradict");
    refused("a,volumeType=gp3,export=x", &[], "`volumeType` and `export` contradict");
    refused("a,sparse=true,iops=100", &[], "`sparse` and `iops` contradict");
    refused("a,encrypted=no,kms_key=x", &[], "`encrypted=false` and `kms_key` contradict");
}

/// So `hawser spec`, `hawser marathon check` and the daemon say the same, whatever is configured.
#[test]
fn a_volume_is_not_mounted_read_only_unless_it_is_stated_to_be_a_directory_on_nfs() {
    for text in [
        "a,mount_options=ro",
        "a,mount_options=noatime;ro,shared=true",
        "a,backend=ebs,mount_options=ro",
        "a,provision=thin,mount_options=ro",
        "a,backend=nfs,layout=image,mount_options=ro",
    ] {
        refused(text, &[], "`ro` is refused: say it where the volume is used: Docker's `:ro`");
    }
    for of_nfs in ["backend=nfs", "export=fast", "path=team/a", "layout=directory"] {
        request(&format!("a,mount_options=ro,{of_nfs}"), &[]);
    }
}

#[test]
fn a_bad_value_is_shown_short_and_escaped() {
    refused("a,size=\x1b[2J", &[], "`size=\\u{1b}[2J`: not a size");
    refused("a", &[("size", &"9".repeat(500))], "9…`: larger than any volume");
    refused(
        "a,fs=btrfs",
        &[],
        "`fs=btrfs`: not a file system that hawser formats: use ext4 or xfs",
    );
}

#[test]
fn a_secret_is_never_shown() {
    const SECRET: &str = "hunter2";
    for (name, options) in [
        ("a,passphrase=hunter2", &[][..]),
        ("a,secret_key=hunter2", &[]),
        ("a,Secret-Key=hunter2", &[]),
        ("a,passphrse=hunter2", &[]),
        ("a,passphrase:hunter2", &[]),
        ("a;passphrase=hunter2", &[]),
        ("name=a;passphrase=hunter2", &[]),
        ("size=1;secret_key=hunter2,name=a", &[]),
        ("passphrase=hunter2", &[]),
        ("a", &[("passphrase", "hunter2")]),
        ("a", &[("password", "hunter2")]),
        ("a", &[("token", "hunter2")]),
        ("a", &[("label.x", "secret=hunter2,")]),
    ] {
        let found = parse(name, options.iter().copied()).unwrap_err().to_string();
        assert!(!found.contains(SECRET), "{name} {options:?}: {found}");
    }
}

#[test]
fn options_alone_have_no_name() {
    let stated = parse_options([("sticky", "on"), ("label.a", "b")]).unwrap();
    assert_eq!(stated.canonical(), "sticky=true,label.a=b");
    assert_eq!(stated.iter().count(), 2);
    let found = parse_options([("name", "b")]).unwrap_err().to_string();
    assert!(found.contains("`name` is refused: a volume cannot be renamed"), "{found}");
    assert!(parse_options([]).unwrap().is_empty());
}

#[test]
fn too_many_labels_are_refused() {
    let keys: Vec<_> = (0..=label::COUNT_MAX).map(|n| format!("label.k{n}")).collect();
    let options: Vec<_> = keys.iter().map(|key| (key.as_str(), "x")).collect();
    refused("a", &options, "at most 40 labels");
    assert_eq!(request("a", &options[1..]).stated.iter().count(), 1);
}

/// One element per key, of texts that it takes.
fn element() -> impl Strategy<Value = (usize, &'static str)> {
    prop::sample::select(vec![
        (0, "size=20"),
        (0, "SIZE=1536M"),
        (1, "backend=local"),
        (2, "fs=xfs"),
        (2, "newFsType=ext4"),
        (3, "shared=yes"),
        (4, "mount_options=noatime;commit.30"),
        (4, "mountOptions=discard"),
        (5, "mkfs_options=-m;1;-E;nodiscard;-E;stride=4"),
        (5, "fsopts=-m reflink=1"),
        (6, "uid=1000"),
        (7, "gid=0"),
        (8, "mode=2770"),
        (8, "fsMode=0o700"),
        (9, "provision=thick"),
        (9, "sparse=1"),
        (10, "on-remove=retain"),
        (11, "sticky=off"),
        (12, "label.team=web"),
        (13, "label.Cost-Center=a = b"),
        (14, "labels=p=q;r=s"),
        (15, "repl=1"),
    ])
}

proptest! {
    #[test]
    fn the_canonical_form_parses_to_the_same_request(
        elements in prop::collection::vec(element(), 0..12),
        name in "[A-Za-z0-9][A-Za-z0-9_.-]{0,127}",
    ) {
        let mut used = [false; 16];
        let mut text = format!("name={name}");
        for (key, element) in elements {
            if !std::mem::replace(&mut used[key], true) {
                text = format!("{text},{element}");
            }
        }
        let first = request(&text, &[]);
        prop_assert_eq!(first.name.as_str(), name);
        prop_assert!(!first.canonical().contains(':'));
        prop_assert_eq!(&request(&first.canonical(), &[]), &first);
        prop_assert_eq!(request(&first.canonical(), &[]).canonical(), first.canonical());
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        name in "\\PC*",
        options in prop::collection::vec(("\\PC*", ".*"), 0..4),
    ) {
        let options = options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match parse(&name, options) {
            Ok(Asked::Volume(request)) => {
                prop_assert_eq!(parse(&request.canonical(), []), Ok(Asked::Volume(request)));
            }
            Ok(Asked::Help) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// Texts that come near a spec: known keys with almost any value.
    #[test]
    fn what_looks_like_a_spec_round_trips_or_is_refused(
        elements in prop::collection::vec(
            (prop::sample::select(known_keys()), "[ -~é\\n]{0,12}"), 1..4),
    ) {
        let elements: Vec<_> = elements.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("a,{}", elements.join(","));
        match parse(&text, []) {
            Ok(Asked::Volume(request)) => {
                prop_assert_eq!(parse(&request.canonical(), []), Ok(Asked::Volume(request)));
            }
            Ok(Asked::Help) => prop_assert!(false, "help is an option, not an element"),
            Err(error) => prop_assert!(error.to_string().len() < 2000, "{}", error),
        }
    }
}

fn known_keys() -> Vec<&'static str> {
    let ours = KEYS.iter().flat_map(|row| row.aliases.iter().chain([&row.name]).copied());
    ours.chain(PEERS.iter().flat_map(|(names, _)| names.iter().copied()))
        .chain(["label.x"])
        .collect()
}
