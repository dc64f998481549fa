use super::*;

#[test]
fn values_are_written_back_in_one_form() {
    type Read = fn(&str) -> Result<Value, Why>;
    let cases: [(Read, &str, &str); 13] = [
        (size, "2048M", "2GiB"),
        (backend, "Local", "local"),
        (fs, "XFS", "xfs"),
        (shared, "on", "true"),
        (sticky, "f", "false"),
        (preempt, "Dead-Only", "dead-only"),
        (scale, "003", "3"),
        (mount_options, "noatime,commit.5", "noatime;commit=5"),
        (mkfs_options, "-E discard,stride=4", "-E;discard;-E;stride=4"),
        (mode, "0o755", "0755"),
        (id, "1000", "1000"),
        (ebs_type, "GP3", "gp3"),
        (switch, "1", "true"),
    ];
    for (read, text, canonical) in cases {
        let value = read(text).unwrap();
        assert_eq!(value.to_string(), canonical);
        assert_eq!(read(canonical), Ok(value), "{canonical}");
    }
}

/// Theirs steals from whoever has it; ours only from who is silent.
#[test]
fn rexrays_preempt_is_not_silently_something_else() {
    for yes in ["true", "1", "on"] {
        let why = preempt(yes).unwrap_err();
        assert!(why.contains("a node that uses it") && why.contains("preempt=force"), "{why}");
    }
    assert_eq!(preempt("false"), preempt("never"));
    assert_eq!(preempt("always").unwrap_err(), "use never or dead-only or force");
}

#[test]
fn impossible_values_are_refused() {
    assert!(size("0").unwrap_err().contains("more than nothing"));
    assert!(size("-1").unwrap_err().contains("not a size"));
    assert!(size("99999999999999999999").unwrap_err().contains("8 EiB"));
    assert_eq!(size("65536"), Ok(Value::Size(Bytes::gib(65536))));
    assert!(size("65537").unwrap_err().contains("write the unit"));
    assert_eq!(size("65537G"), Ok(Value::Size(Bytes::gib(65537))));
    for bad in ["0", "1025", "+1", "-1", "1.0", "x", "99999999999"] {
        assert!(scale(bad).is_err(), "{bad}");
    }
    for bad in ["4294967295", "root", "+0", "-1"] {
        assert!(id(bad).is_err(), "{bad}");
    }
    assert!(count("0").is_err());
    assert!(ebs_type("ssd").unwrap_err().contains("gp3"));
    assert!(ebs_type("nfs4").unwrap_err().contains("backend=nfs"));
    assert!(word("a b").is_err());
}
