use super::*;

fn parsed(text: &str) -> Vec<String> {
    parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn every_carrier_has_a_form_that_it_can_carry() {
    for text in ["noatime;commit=30", "noatime,commit=30", "noatime;commit:30", "noatime;commit.30"]
    {
        assert_eq!(parsed(text), ["noatime", "commit=30"], "{text}");
    }
    assert_eq!(parsed("logbsize=64k; inode64"), ["logbsize=64k", "inode64"]);
}

#[test]
fn what_breaks_a_promise_is_refused_with_the_reason() {
    for (text, why) in [
        ("rw", "where the volume is used"),
        ("soft", "gives up data"),
        ("vers=3", "the operator chooses it"),
        ("nconnect=4", "the operator chooses it"),
        ("nocto", "would read old data"),
        ("rsize=1000", "a multiple of 1024"),
        ("wsize=2097152", "from 1024 to 1048576"),
        ("lookupcache=some", "takes all or none or pos or positive"),
        ("noatime;loop", "what is mounted"),
        ("nobarrier", "gives up data"),
        ("barrier=0", "gives up data"),
        ("logdev=/dev/sda", "another device"),
        ("errors=panic", "takes remount-ro"),
        ("data=writeback", "takes ordered or journal"),
        ("x-systemd.automount", "not among"),
        ("noatime;;sync", "empty"),
        ("", "empty"),
        ("commit", "takes a value"),
        ("commit=-1", "takes a number"),
        ("noatime=1", "takes no value"),
        ("sync;sync", "twice"),
        ("discard;nodiscard", "contradict"),
        ("nodiscard;discard", "contradict"),
    ] {
        let found = parse(text).unwrap_err();
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn an_option_belongs_to_what_is_mounted() {
    let (ext4, xfs) = (Mounted::Device(Some(FsType::Ext4)), Mounted::Device(Some(FsType::Xfs)));
    let (unknown, nfs) = (Mounted::Device(None), Mounted::Directory);
    for (mounted, options) in [
        (ext4, "noatime;commit=5"),
        (xfs, "noatime;inode64"),
        (unknown, "commit=5;inode64;discard"),
        (nfs, "ro;noatime;nosuid;nodev;noexec;sync;noac;actimeo.5;rsize=65536;lookupcache=none"),
    ] {
        assert_eq!(check_for(mounted, &parsed(options)), Ok(()), "{mounted:?} {options}");
    }
    for (mounted, option, why) in [
        (xfs, "commit=5", "`commit` is not an option of xfs"),
        (ext4, "wsync", "`wsync` is not an option of ext4"),
        (ext4, "actimeo=5", "`actimeo` is not an option of ext4"),
        (unknown, "rsize=65536", "`rsize` is not an option of ext4 or xfs"),
        (nfs, "discard", "`discard` is not an option of NFS"),
        (nfs, "commit=5", "`commit` is not an option of NFS"),
        (ext4, "ro", "`ro` is refused: say it where the volume is used"),
        (unknown, "ro", "`ro` is refused: say it where the volume is used"),
    ] {
        let found = check_for(mounted, &parsed(option)).unwrap_err();
        assert!(found.contains(why), "{found}");
    }
}
