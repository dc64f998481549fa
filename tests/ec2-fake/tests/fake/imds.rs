//! The metadata service.

use ec2_fake::{ImdsVersions, InstanceSpec};

use crate::client::{World, http};

const TTL: (&str, &str) = ("x-aws-ec2-metadata-token-ttl-seconds", "60");

fn token(world: &World) -> String {
    http(world.fake.address(), "PUT", "/latest/api/token", &[TTL], "").unwrap().1
}

fn get(world: &World, path: &str, token: &str) -> (u16, String) {
    let headers = [("x-aws-ec2-metadata-token", token)];
    http(world.fake.address(), "GET", &format!("/latest/{path}"), &headers, "").unwrap()
}

#[test]
fn metadata_is_read_with_a_token() {
    let world = World::new();
    let token = token(&world);
    let read = |path: &str| get(&world, path, &token);
    assert_eq!(read("meta-data/instance-id"), (200, world.instance.clone()));
    assert_eq!(read("meta-data/placement/availability-zone"), (200, "us-east-1a".to_owned()));
    assert_eq!(read("meta-data/placement/region"), (200, "us-east-1".to_owned()));
    assert_eq!(read("meta-data/iam/security-credentials/"), (200, "hawser".to_owned()));
    assert!(read("meta-data/iam/security-credentials/hawser").1.contains("\"Code\":\"Success\""));
    assert!(read("dynamic/instance-identity/document").1.contains(&world.instance));
    assert_eq!(read("meta-data/nonsense").0, 404);
}

#[test]
fn without_a_valid_token_it_is_401() {
    let world = World::new();
    let path = "/latest/meta-data/instance-id";
    assert_eq!(http(world.fake.address(), "GET", path, &[], "").unwrap().0, 401);
    let token = token(&world);
    world.fake.expire_tokens();
    assert_eq!(get(&world, "meta-data/instance-id", &token).0, 401);
    assert_eq!(http(world.fake.address(), "PUT", "/latest/api/token", &[], "").unwrap().0, 400);
    let old = World::with(|config| config.imds = ImdsVersions::V1AndV2);
    assert_eq!(http(old.fake.address(), "GET", path, &[], "").unwrap().0, 200);
}

#[test]
fn each_instance_has_metadata_of_its_own() {
    let world = World::with(|config| config.imds = ImdsVersions::V1AndV2);
    let second = InstanceSpec::new("us-east-1b");
    world.fake.add_instance(second.clone()).unwrap();
    let endpoint = world.fake.imds_endpoint(&second.id).unwrap();
    let address = endpoint.trim_start_matches("http://").parse().unwrap();
    let got = http(address, "GET", "/latest/meta-data/instance-id", &[], "").unwrap();
    assert_eq!(got, (200, second.id));
}
