use std::path::Path;

use super::*;

pub(super) fn values(file: &str, environment: &[(&str, &str)], options: &[(&str, &str)]) -> Values {
    let mut values = Values::default();
    values.add_file(Path::new("hawser.toml"), file);
    let pairs = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    values.add_environment(pairs);
    for (key, value) in options {
        values.add_option(key, value);
    }
    values
}

/// The configuration of a file that is right.
#[cfg(feature = "ebs")]
pub(super) fn configured(file: &str) -> Config {
    Config::read(values(file, &[], &[])).unwrap()
}

#[test]
fn nothing_written_is_a_whole_configuration() {
    let config = Config::read(Values::default()).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/hawser"));
    assert_eq!(config.root, Path::new("/var/lib/hawser/mnt"));
    assert_eq!(config.local.dir, Path::new("/var/lib/hawser/images"));
    assert_eq!(config.engine.linger, Duration::from_secs(5));
    assert_eq!(config.engine.undelete, SignedDuration::from_hours(24));
    assert_eq!(config.engine.defaults.provision, Provision::Thick);
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
    let file = "[volumes]\nlinger = \"1s\"\nsweep = \"1s\"\norphan_after = \"1s\"";
    let environment = [("HAWSER_LINGER", "2s"), ("HAWSER_SWEEP", "2s"), ("OTHER", "x")];
    let config = Config::read(values(file, &environment, &[("volumes.linger", "3s")])).unwrap();
    assert_eq!(config.engine.linger, Duration::from_secs(3));
    assert_eq!(config.engine.sweep, Duration::from_secs(2));
    assert_eq!(config.engine.orphan_after, SignedDuration::from_secs(1));
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let file =
        "[volumes]\nlingre = \"1s\"\ndefault_fs = \"zfs\"\n[backends.local]\novercommit = -1";
    let environment = [("HAWSER_STATEDIR", "/x"), ("HAWSER_UNDELETE", "soon")];
    let error =
        Config::read(values(file, &environment, &[("daemon.state_dir", "here")])).unwrap_err();
    let text = error.to_string();
    for line in [
        "hawser.toml: volumes.lingre: 1s: unknown key, the nearest is volumes.linger",
        "hawser.toml: volumes.default_fs: zfs: ",
        "hawser.toml: backends.local.overcommit: -1: must be a number above 0, such as 1.5",
        "environment: HAWSER_STATEDIR: /x: unknown key, the nearest is HAWSER_STATE_DIR",
        "environment: volumes.undelete: soon: must be a time such as 30s, 5m or 24h",
        "command line: daemon.state_dir: here: must be an absolute path",
    ] {
        assert!(text.contains(line), "{line}\nis missing in\n{text}");
    }
    assert_eq!(error.0.len(), 6, "{text}");
}

#[test]
fn a_volume_that_states_nothing_must_be_possible() {
    for (file, told) in [
        (
            "default_size = \"15MiB\"",
            "default_size: 15MiB: volumes.default_fs is ext4, which takes 16MiB or more",
        ),
        (
            "anonymous_size = \"100MiB\"\ndefault_fs = \"xfs\"",
            "anonymous_size: 100MiB: volumes.default_fs is xfs",
        ),
    ] {
        let found = Config::read(values(&format!("[volumes]\n{file}"), &[], &[])).unwrap_err();
        assert!(found.to_string().contains(told), "{found}");
    }
}

#[test]
fn what_is_published_has_a_path_of_its_own_and_a_name_that_can_be_read() {
    let read =
        |text: &str| Config::read(values(&format!("[volumes]\npublish = {text:?}"), &[], &[]));
    let names = |text: &str| -> Vec<String> {
        read(text).unwrap().publish.iter().map(|request| request.name.to_string()).collect()
    };
    assert_eq!(names("  assets,size=1GiB,shared=true\tsite "), ["assets", "site"]);
    assert!(names("").is_empty());
    for (text, why) in [
        ("a a,size=1GiB", "there twice"),
        ("a,scale=3", "a group has no path"),
        ("a,sise=1GiB", "size"),
        ("help=", "unknown key"),
    ] {
        let mistakes = read(text).unwrap_err().to_string();
        assert!(mistakes.contains("volumes.publish") && mistakes.contains(why), "{mistakes}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_by_its_line() {
    let found = Config::read(values("[volumes]\nlinger = 5s\n", &[], &[])).unwrap_err();
    assert!(found.to_string().starts_with("hawser.toml: (file): (text): line 2: "), "{found}");
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = Config::read(values("[volumes]\nlinger = \"1s\"", &[("HAWSER_LINGER", "")], &[]));
    assert_eq!(config.unwrap().engine.linger, Duration::from_secs(1));
}

#[test]
fn the_sample_file_is_every_setting_with_its_default() {
    let uncommented: String = sample_file()
        .lines()
        .filter_map(|line| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            setting.or_else(|| line.starts_with('[').then_some(line))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let mut values = Values::default();
    values.add_file(Path::new("sample"), &uncommented);
    for setting in settings() {
        let expected = (setting.default.to_owned(), "sample".to_owned());
        assert_eq!(values.get(setting.key), expected, "{}", setting.key);
    }
    assert_eq!(values.into_mistakes(), []);
}

#[test]
fn what_is_in_the_repository_is_what_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, made) in [("dist/hawser.toml", sample_file()), ("docs/config.md", reference())] {
        let present = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(present.contains(&made), "{file} is out of date: it must contain\n{made}");
    }
}

/// Where things are inside the plugin is the plugin's own business; everything else is the operator's.
#[test]
fn the_managed_plugin_has_every_setting_and_all_but_its_own_paths_can_be_set() {
    const OWN: [&str; 6] = [
        "HAWSER_STATE_DIR",
        "HAWSER_ROOT",
        "HAWSER_ROOT_TMPFS",
        "HAWSER_DOCKER_SOCKET",
        "HAWSER_REXRAY_SOCKET",
        "HAWSER_ADMIN_SOCKET",
    ];
    let plugin: serde_json::Value =
        serde_json::from_str(include_str!("../../plugin/config.json")).unwrap();
    let names = |settable: bool| -> Vec<&str> {
        let all = plugin["env"].as_array().unwrap().iter();
        let mut names: Vec<_> = all
            .filter(|env| env["settable"].is_array() == settable)
            .map(|env| env["name"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    let settings = |own: bool| -> Vec<&str> {
        let all = settings().flat_map(|s| [&[s.env], s.aliases].concat());
        let mut names: Vec<_> = all.filter(|name| OWN.contains(name) == own).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(false), settings(true));
    assert_eq!(names(true), settings(false));
    // A value here would hide a value under another of the setting's names, and for a region what the
    // instance itself says: REX-Ray's plugin had us-east-1 there.
    for env in plugin["env"].as_array().unwrap() {
        let settable = env["settable"].is_array();
        assert!(!settable || env["value"] == "", "{} has a default", env["name"]);
    }
}

#[test]
fn no_variable_sets_two_settings() {
    let mut names = std::collections::BTreeSet::new();
    for setting in settings() {
        for name in [&[setting.env], setting.aliases].concat() {
            assert!(names.insert(name), "{name}");
        }
    }
}
