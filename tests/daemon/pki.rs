//! `hawser pki`: the certificates of the peer port.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::harness::{HAWSER, World};

#[test]
fn pki_makes_a_ca_and_certificates_and_says_what_goes_where() {
    let world = World::new();
    world.write_configuration();
    let (dir, out) = (world.path("pki"), world.path("out"));
    let (dir, out) = (dir.to_str().unwrap(), out.to_str().unwrap());

    let said = world.hawser(["pki", "init", "--dir", dir, "--cluster", "prod"]);
    let parts = ["cluster `prod`", "ca.pem  goes to every node", "ca.key  goes to no node"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let node = ["pki", "node", "n1", "--dir", dir, "--cluster", "prod", "--out", out];
    let said = world.hawser(node);
    let parts = ["Node `n1`", "out/n1.pem", "out/n1.key", "pki/ca.pem"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");

    for key in ["pki/ca.key", "out/n1.key"] {
        let mode = fs::metadata(world.path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let error = world.hawser_fails(["pki", "init", "--dir", dir, "--cluster", "prod"]);
    assert!(error.contains("never overwritten"), "{error}");
    let key = fs::read(world.path("out/n1.key")).unwrap();
    let error = world.hawser_fails(node);
    assert!(error.contains("--renew"), "{error}");
    assert_eq!(fs::read(world.path("out/n1.key")).unwrap(), key);
    let said = world.hawser([
        "pki",
        "node",
        "n1",
        "--dir",
        dir,
        "--cluster",
        "prod",
        "--out",
        out,
        "--renew",
    ]);
    assert!(said.contains("kept here as .old"), "{said}");
    assert_eq!(fs::read(world.path("out/n1.key.old")).unwrap(), key);
}

#[test]
fn pki_refuses_a_cluster_that_is_not_the_cas_and_names_that_are_none() {
    let world = World::new();
    world.write_configuration();
    let dir = world.path("pki");
    let dir = dir.to_str().unwrap();
    world.hawser(["pki", "init", "--dir", dir, "--cluster", "prod"]);

    let error = world.hawser_fails(["pki", "node", "n1", "--dir", dir, "--cluster", "test"]);
    assert!(error.contains("is that the CA of cluster `test`?"), "{error}");
    assert!(!world.path("pki/n1.key").exists());
    for wrong in [
        ["pki", "node", "a/b", "--dir", dir, "--cluster", "prod"],
        ["pki", "node", "n1", "--dir", dir, "--cluster", "a b"],
    ] {
        let output = world.command(HAWSER).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
}
