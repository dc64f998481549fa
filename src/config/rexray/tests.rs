use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rexray").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn imported(text: &str) -> Imported {
    import(text, None, Secrets::LeaveOut).unwrap()
}

fn fate(text: &str) -> Fate {
    let mut told = imported(text).told;
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0).fate
}

/// `hawser config import-rexray FILE.yml >FILE.toml 2>FILE.txt` makes them anew.
#[test]
fn realistic_files_become_what_they_mean() {
    for name in ["dcos", "docker", "services"] {
        let imported = imported(&golden(&format!("{name}.yml")));
        let told: String = imported.told.iter().map(|told| format!("{told}\n")).collect();
        assert_eq!(imported.toml, golden(&format!("{name}.toml")), "{name}");
        assert_eq!(told, golden(&format!("{name}.txt")), "{name}");
    }
}

#[test]
fn what_is_written_is_a_configuration() {
    for name in ["dcos", "docker", "services"] {
        for secrets in [Secrets::LeaveOut, Secrets::Write] {
            let imported = import(&golden(&format!("{name}.yml")), Some("c"), secrets).unwrap();
            let mut values = Values::default();
            values.add_file(Path::new("hawser.toml"), &imported.toml);
            if cfg!(feature = "ebs") {
                let config = Config::read(values).unwrap();
                assert_eq!(config.ebs.unwrap().cluster, "c");
            }
        }
    }
}

#[test]
fn credentials_are_written_only_when_it_is_asked_for() {
    let file = golden("docker.yml");
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let without = import(&file, None, Secrets::LeaveOut).unwrap();
    assert!(!format!("{without:?}").contains(secret));
    let with = import(&file, None, Secrets::Write).unwrap();
    assert!(with.toml.contains(secret));
    assert!(!format!("{:?}", with.told).contains(secret));
}

#[test]
fn every_spelling_of_a_key_is_the_same() {
    for key in [
        "libstorage.integration.volume.operations.create.default.size",
        "LIBSTORAGE.Integration.Volume.Operations.Create.Default.SIZE",
        "rexray.volume.create.default.size",
        "volume.create.default.size",
        "docker.size",
        "rexray.docker.size",
        "rexray.modules.m.libstorage.integration.volume.operations.create.default.size",
        "rexray.modules.m.rexray.volume.create.default.size",
    ] {
        let set = Fate::Becomes("volumes.default_size = \"5GiB\"".to_owned());
        assert_eq!(fate(&format!("{key}: 5")), set, "{key}");
    }
    for key in ["ebs.region", "ec2.region", "aws.region", "libstorage.ebs.region", "EBS.Region"] {
        let set = Fate::Becomes("backends.ebs.region = \"us-east-1\"".to_owned());
        assert_eq!(fate(&format!("{key}: us-east-1")), set, "{key}");
    }
    for key in ["rexray.storageDrivers", "libstorage.service", "rexray.service"] {
        let set = Fate::Becomes("backends.ebs.enabled = \"true\"".to_owned());
        assert_eq!(fate(&format!("{key}: aws")), set, "{key}");
    }
}

#[test]
fn a_key_that_rex_ray_does_not_have_is_an_error() {
    let found = import("ebs:\n  regoin: x\nrexray:\n  loglvl: hunter2\n", None, Secrets::LeaveOut);
    assert_eq!(
        found.unwrap_err().to_string(),
        "line 2: ebs.regoin: REX-Ray has no such key, the nearest is ebs.region\n\
         line 4: rexray.loglvl: REX-Ray has no such key, the nearest is loglevel"
    );
}

#[test]
fn a_value_that_hawser_cannot_take_is_an_error() {
    for (text, told) in [
        ("ebs.kmsKeyID: a b", "backends.ebs.kms_key: a b: not a KMS key"),
        ("docker.fsType: btrfs", "volumes.default_fs: btrfs: "),
        ("docker.volumeType: gp9", "backends.ebs.type: gp9: "),
    ] {
        let found = import(text, None, Secrets::LeaveOut).unwrap_err().to_string();
        assert!(found.contains(told), "{found}");
    }
}

#[test]
fn what_is_no_use_of_ebs_turns_nothing_on() {
    let imported = imported("libstorage:\n  service: scaleio\nscaleio:\n  password: hunter2\n");
    assert!(!imported.toml.contains("enabled = "), "{}", imported.toml);
    assert!(imported.toml.contains("It names no service of EBS"));
    assert!(!format!("{imported:?}").contains("hunter2"));
}

#[test]
fn a_service_of_ebs_is_chosen_wherever_it_is_named() {
    let text = "rexray.modules.a.libstorage.service: files\nlibstorage.server.services:\n  \
                files: {driver: efs}\n  disks: {driver: ec2, ec2: {region: us-east-1}}\n";
    assert!(imported(text).toml.contains("region = \"us-east-1\""));
}

proptest! {
    #[test]
    fn no_text_makes_the_import_panic(
        lines in prop::collection::vec("( {0,4}(- )?(ebs|ec2|rexray|services|a|modules)[.:]? ?[ -~]{0,8}|\\PC*)", 0..8),
    ) {
        let _ = import(&lines.join("\n"), None, Secrets::Write);
    }
}
