//! `hawser doctor` says what stands between this node and its EBS volumes, and does not wait long.

use std::time::{Duration, Instant};

use ec2_fake::FakeConfig;

use crate::harness::{HAWSER, World};

/// What it says, by a daemon's configuration and without AWS's variables of this machine.
fn doctor(world: &World, environment: &[(&str, &str)]) -> String {
    let mut command = world.command(HAWSER);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
    }
    command.env("HOME", world.path("home")).envs(environment.iter().copied());
    let output = command.arg("doctor").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn assert_says<const N: usize>(text: &str, words: [&str; N]) {
    let said = text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(said, "no line with {words:?} in\n{text}");
}

#[test]
fn all_is_well_on_an_instance_that_may_do_everything() {
    let mut world = World::on_ebs();
    world.start();
    world.create("v");
    world.mount("v", "a");
    world.ec2().reset_calls();

    let said = doctor(&world, &[]);

    assert_says(&said, ["good", "EBS region", "us-east-1, from backends.ebs.region"]);
    assert_says(&said, ["good", "EBS credentials", "AKIATEST, from backends.ebs.access_key"]);
    assert_says(&said, ["good", "EBS node", &world.ec2().first_instance().id, "us-east-1a"]);
    assert_says(&said, ["good", "EC2", "1 volumes of cluster test"]);
    assert_says(&said, ["good", "EBS slots", "25 of 27 are free on this m5.large"]);
    assert_says(&said, ["good", "EBS permissions", "CreateVolume"]);
    assert!(!said.contains("secret"), "{said}");
    assert_eq!(world.ec2().volumes().len(), 1, "nothing was made");
    for call in world.ec2().calls() {
        let looks = call.action.starts_with("Describe") || call.params.contains_key("DryRun");
        assert!(looks, "{call:?}");
    }
    world.unmount("v", "a");
    world.remove("v");
    world.finish();
}

#[test]
fn an_instance_with_a_role_needs_no_settings_but_the_clusters_name() {
    let mut world = World::new();
    let config = FakeConfig::new(world.path("ec2"));
    world = world.on(config);
    for key in ["region", "access_key", "secret_key", "instance_id", "zone"] {
        world.set(&format!("backends.ebs.{key}"), "");
    }
    world.start();
    let endpoint = world.ec2().endpoint();

    let said = doctor(&world, &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint)]);

    assert_says(&said, ["good", "EBS region", "us-east-1, from", "metadata"]);
    assert_says(&said, ["good", "EBS credentials", "ASIA", "a role"]);
    assert_says(&said, ["good", "EBS node", &world.ec2().first_instance().id]);
    assert_says(&said, ["good", "EBS permissions"]);
    world.finish();
}

#[test]
fn a_right_that_is_missing_is_named_with_the_command_that_prints_the_policy() {
    let mut world = World::on_ebs();
    world.start();
    let why = "You are not authorized to perform this operation.";
    world.ec2().fail_next("CreateVolume", "UnauthorizedOperation", why, 1);

    let said = doctor(&world, &[]);

    assert_says(&said, ["PROBLEM", "EBS permissions", "CreateVolume", why, "config iam-policy"]);
    world.finish();
}

#[test]
fn an_ec2_that_does_not_answer_is_said_within_the_limit() {
    let mut world = World::on_ebs();
    world.start();
    world.create("v");
    world.stop();
    world.ec2().away(true);
    let begun = Instant::now();

    let said = doctor(&world, &[]);

    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}\n{said}", begun.elapsed());
    assert_says(&said, ["PROBLEM", "EC2", "does not answer within 8 s", "VPC endpoint"]);
    assert_says(&said, ["note", "recovery", "v: not looked at, since EC2 does not answer"]);
    world.ec2().away(false);
    world.start();
    world.remove("v");
    world.finish();
}

#[test]
fn where_there_are_no_credentials_it_says_where_they_come_from() {
    let mut world = World::on_ebs();
    for key in ["access_key", "secret_key"] {
        world.set(&format!("backends.ebs.{key}"), "");
    }
    world.start();
    let begun = Instant::now();

    // Nobody listens on that port: an instance without a metadata service.
    let nobody = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
    let said = doctor(&world, &nobody);

    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}\n{said}", begun.elapsed());
    assert_says(&said, ["PROBLEM", "EBS credentials", "no AWS credentials", "role"]);
    assert!(!said.contains("EBS slots"), "{said}");
    world.finish();
}

/// The SDK panics without any, and a panic ends the daemon.
#[test]
fn a_host_without_certificates_of_authorities_is_told_so_and_nothing_ends() {
    let mut world = World::on_ebs();
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        world.environment.insert(variable.to_owned(), "/nonexistent".to_owned());
    }
    world.start();

    let none = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let said = doctor(&world, &none);
    assert_says(&said, ["PROBLEM", "EBS credentials", "install ca-certificates"]);
    let refused = world.hawser_fails(["volume", "create", "v"]);
    assert!(refused.contains("install ca-certificates"), "{refused}");
    world.call("List", &serde_json::json!({})).ok();
    // From here on with those of this machine.
    world.stop();
    world.start();
    world.finish();
}
