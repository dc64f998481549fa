//! The jobs in `examples/nomad` against the schema of Nomad's docker driver, restated
//! (hashicorp/nomad, drivers/docker/config.go: `mountBodySpec` and `taskConfigSpec`), and hawser's own reading of what they ask for.
//! No Nomad runs here.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code runs programs and fails by panicking"
)]

use std::{fs, path::Path, process::Command};

use serde_json::Value;

const EBS: &str = "[daemon]\ncluster = \"prod\"\n[backends.ebs]\nenabled = true";

/// What stands between braces. A crate that reads all of HCL changes the features of what the AWS SDK stands on,
/// which is compiled twice then; the jobs here are a line for each thing.
#[derive(Debug, Default)]
struct Body {
    attributes: Vec<(String, String)>,
    blocks: Vec<(String, Body)>,
}

fn job(name: &str) -> Body {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nomad").join(name);
    let text = fs::read_to_string(path).unwrap();
    let mut open = vec![(String::new(), Body::default())];
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if line == "}" {
            let block = open.pop().unwrap();
            open.last_mut().expect("no brace too many").1.blocks.push(block);
        } else if let Some(head) = line.strip_suffix('{') {
            open.push((head.split_whitespace().next().unwrap().to_owned(), Body::default()));
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
            let attribute = (key.trim().to_owned(), value.trim().to_owned());
            open.last_mut().unwrap().1.attributes.push(attribute);
        }
    }
    assert_eq!(open.len(), 1, "{name}: a brace is missing");
    open.pop().unwrap().1
}

/// The blocks of that name, at any depth.
fn blocks<'a>(body: &'a Body, name: &str) -> Vec<&'a Body> {
    let below = |(own, block): &'a (String, Body)| {
        let own = (own == name).then_some(block);
        own.into_iter().chain(blocks(block, name)).collect::<Vec<_>>()
    };
    body.blocks.iter().flat_map(below).collect()
}

/// An attribute as it is written; its quotes are JSON's, too.
fn value(body: &Body, key: &str) -> Value {
    let (_, written) = body.attributes.iter().find(|(name, _)| name == key).expect(key);
    serde_json::from_str(written).unwrap_or_else(|error| panic!("{key}: {written}: {error}"))
}

fn text(body: &Body, key: &str) -> String {
    value(body, key).as_str().expect(key).to_owned()
}

/// That a body has none but these attributes and blocks.
#[track_caller]
fn has_only(body: &Body, attributes: &[&str], below: &[&str]) {
    for (key, _) in &body.attributes {
        assert!(attributes.contains(&key.as_str()), "Nomad knows no `{key}`");
    }
    for (name, _) in &body.blocks {
        assert!(below.contains(&name.as_str()), "Nomad knows no `{name}`");
    }
}

/// What `hawser spec` makes of it.
#[track_caller]
fn explained(name: &str, options: &[(String, String)]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("hawser.toml");
    fs::write(&config, EBS).unwrap();
    let options =
        options.iter().flat_map(|(key, value)| ["-o".to_owned(), format!("{key}={value}")]);
    let output = Command::new(env!("CARGO_BIN_EXE_hawser"))
        .args(["spec", name, "--json", "--config"])
        .arg(config)
        .args(options)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_mount_of_a_nomad_job_is_what_its_docker_driver_takes_and_hawser_can_make() {
    let job = job("postgres.nomad.hcl");
    let mounts = blocks(&job, "mount");
    let [mount] = mounts.as_slice() else { panic!("{mounts:?}") };
    has_only(
        mount,
        &["type", "target", "source", "readonly"],
        &["bind_options", "tmpfs_options", "volume_options"],
    );
    assert_eq!(text(mount, "type"), "volume");
    assert!(text(mount, "target").starts_with('/'));
    let options = blocks(mount, "volume_options")[0];
    has_only(options, &["no_copy"], &["labels", "driver_config"]);
    let driver = blocks(options, "driver_config")[0];
    has_only(driver, &["name"], &["options"]);
    assert_eq!(text(driver, "name"), "hawser");
    let options = blocks(driver, "options")[0];
    // Of the schema's type, list(map(string)).
    let keys = options.attributes.iter().map(|(key, _)| key.clone());
    let pairs: Vec<_> = keys.map(|key| (key.clone(), text(options, &key))).collect();

    let spec = explained(&text(mount, "source"), &pairs);
    assert!(spec["fields"].to_string().contains("20GiB"), "{spec}");
    let group = blocks(&job, "group")[0];
    assert_eq!(value(group, "count"), 1, "the volume is not shared");
}

/// `volumes` is split at `:`, and cleaned as a path (driver.go: `filepath.Clean`).
#[test]
fn the_short_form_of_a_nomad_job_survives_what_nomad_does_to_it() {
    let job = job("site.nomad.hcl");
    let configs = blocks(&job, "config");
    let [config] = configs.as_slice() else { panic!("{configs:?}") };
    has_only(config, &["image", "volume_driver", "volumes"], &[]);
    assert_eq!(text(config, "volume_driver"), "hawser");
    for volume in value(config, "volumes").as_array().unwrap() {
        let volume = volume.as_str().unwrap();
        let (name, target) = volume.split_once(':').unwrap();
        assert!(!name.contains("//") && !name.ends_with('/') && !name.contains("./"), "{name}");
        assert!(target.starts_with('/') && !target.contains(':'), "{target}");
        let spec = explained(name, &[]);
        assert!(spec["notes"].to_string().contains("many tasks"), "{spec}");
    }
}
