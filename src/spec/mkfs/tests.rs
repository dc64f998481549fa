use super::*;

fn parsed(text: &str) -> Vec<String> {
    parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn flags_become_the_arguments_of_mkfs() {
    for (text, arguments) in [
        ("-m;1", vec!["-m", "1"]),
        ("-m1", vec!["-m", "1"]),
        ("-m 0.5 -i 8192", vec!["-m", "0.5", "-i", "8192"]),
        ("-E;lazy_itable_init=0;-E;nodiscard", vec!["-E", "lazy_itable_init=0,nodiscard"]),
        ("-E lazy_itable_init.0,stride:4", vec!["-E", "lazy_itable_init=0,stride=4"]),
        ("-O ^metadata_csum,quota", vec!["-O", "^metadata_csum,quota"]),
        ("-J size=64", vec!["-J", "size=64"]),
        ("-K;-m;reflink=1;-d;agcount=4", vec!["-K", "-m", "reflink=1", "-d", "agcount=4"]),
        ("-b size=4096 -l size=64m", vec!["-b", "size=4096", "-l", "size=64m"]),
    ] {
        assert_eq!(parsed(text), arguments, "{text}");
        assert_eq!(parsed(&super::text(&parsed(text))), arguments, "{text}");
        assert!(!super::text(&parsed(text)).contains([',', ':']), "{text}");
    }
}

#[test]
fn what_is_dangerous_is_refused_with_the_reason() {
    for (text, why) in [
        ("-F", "never forces"),
        ("-f", "never forces"),
        ("-m;1;-F", "never forces"),
        ("-mF", "takes a percentage"),
        ("-d;/etc", "`-d /etc` is not allowed"),
        ("-d;name=/etc/passwd", "`-d name` is not allowed"),
        ("-d;size=1g", "`-d size` is not allowed"),
        ("-z;/tmp/undo", "something else"),
        ("-J;device=/dev/sda", "`-J device` is not allowed"),
        ("-l;logdev=/dev/sda", "`-l logdev` is not allowed"),
        ("-O;^has_journal", "`-O ^has_journal` is not allowed"),
        ("-O;sparse_super2", "`-O sparse_super2` is not allowed"),
        ("-E;offset=4096", "`-E offset` is not allowed"),
        ("-E;root_owner=0=0", "`-E root_owner` is not allowed"),
        ("-n", "takes a value"),
        ("-U;random", "UUID itself"),
        ("/dev/sda", "follows no flag"),
        ("-m;1;/dev/sda", "follows no flag"),
        ("--help", "not a flag"),
        ("-", "not a flag"),
        ("-é", "not a flag"),
        ("-y", "not among the flags"),
        (";", "no flag in it"),
        ("", "no flag in it"),
        ("-m", "takes one value"),
        ("-m;51", "up to 50"),
        ("-m;nan", "up to 50"),
        ("-m;1;-m;2", "takes one value"),
        ("-b;65536", "1024 or 2048 or 4096"),
        ("-E;stride=1;-E;stride=2", "given twice"),
        ("-E;nodiscard=1", "takes no value"),
        ("-E;stride", "takes a number"),
        ("-E", "takes a value"),
        ("-O;quota,^quota", "given twice"),
    ] {
        let found = parse(text).expect_err(text);
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn a_flag_belongs_to_its_file_system() {
    assert_eq!(check_for(FsType::Ext4, &parsed("-m;1")), Ok(()));
    assert_eq!(check_for(FsType::Xfs, &parsed("-m;reflink=1")), Ok(()));
    let found = check_for(FsType::Xfs, &parsed("-m;1")).unwrap_err();
    assert!(found.starts_with("for xfs, `-m 1` is not allowed"), "{found}");
    let found = check_for(FsType::Ext4, &parsed("-K")).unwrap_err();
    assert!(found.starts_with("for ext4, `-K` is not among"), "{found}");
}
