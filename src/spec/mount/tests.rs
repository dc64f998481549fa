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
        ("ro", "where the volume is used"),
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
fn an_option_belongs_to_its_file_system() {
    assert_eq!(check_for(FsType::Ext4, &parsed("noatime;commit=5")), Ok(()));
    assert_eq!(check_for(FsType::Xfs, &parsed("noatime;inode64")), Ok(()));
    assert!(check_for(FsType::Xfs, &parsed("commit=5")).unwrap_err().contains("option of xfs"));
    assert!(check_for(FsType::Ext4, &parsed("wsync")).unwrap_err().contains("option of ext4"));
}
