//! The DC/OS Universe package in `dcos-package`: the Universe's rules, restated (the schema of packages of
//! version 4.0, and `README.md` of mesosphere/universe), and the app that Cosmos makes of it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code runs programs and fails by panicking"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use hawser::marathon::{Context, check};
use serde_json::{Map, Value, json};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("dcos-package").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path("universe").join(name)).unwrap()
}

fn object(name: &str) -> Map<String, Value> {
    serde_json::from_str(&text(name)).unwrap()
}

/// What the options are where nobody says anything: the defaults of the schema.
fn defaults(schema: &Value) -> Value {
    let Some(properties) = schema["properties"].as_object() else {
        return schema["default"].clone();
    };
    properties.iter().map(|(name, below)| (name.clone(), defaults(below))).collect()
}

/// As Cosmos does it: strings go into the template as JSON has them, without the quotes.
fn escaped(value: &Value) -> Value {
    match value {
        // What is empty is false to mustache.java (`falsey` of `BaseObjectHandler.java`), and to these tests'
        // renderer only null is.
        Value::String(text) if text.is_empty() => Value::Null,
        Value::String(text) => {
            let quoted = serde_json::to_string(text).unwrap();
            Value::String(quoted[1..quoted.len() - 1].to_owned())
        }
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), escaped(value))).collect()
        }
        // The renderer of these tests takes strings alone.
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            Value::String(other.to_string())
        }
    }
}

fn merged(mut base: Value, over: &Value) -> Value {
    match (&mut base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                let before = base.remove(key).unwrap_or(Value::Null);
                base.insert(key.clone(), merged(before, value));
            }
        }
        (base, over) => base.clone_from(over),
    }
    base
}

fn rendered(options: &Value) -> Value {
    let schema = Value::Object(object("config.json"));
    let mut context = merged(defaults(&schema), options);
    context["resource"] = Value::Object(object("resource.json"));
    context["sha256"] = json!("0".repeat(64));
    let template = mustache::compile_str(&text("marathon.json.mustache")).unwrap();
    let app = template.render_to_string(&escaped(&context)).unwrap();
    serde_json::from_str(&app).unwrap_or_else(|error| panic!("{error}: {app}"))
}

#[test]
fn the_package_says_what_the_universe_asks_for() {
    let package = object("package.json");
    let required = ["packagingVersion", "name", "version", "maintainer", "description", "tags"];
    for key in required {
        assert!(package.contains_key(key), "{key}");
    }
    let known = [
        "packagingVersion",
        "name",
        "version",
        "scm",
        "maintainer",
        "website",
        "description",
        "framework",
        "preInstallNotes",
        "postInstallNotes",
        "postUninstallNotes",
        "tags",
        "selected",
        "licenses",
        "minDcosReleaseVersion",
        "upgradesFrom",
        "downgradesTo",
    ];
    for key in package.keys() {
        assert!(known.contains(&key.as_str()), "no key of packaging version 4.0: {key}");
    }
    assert_eq!(package["packagingVersion"], "4.0");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    let version = package["version"].as_str().unwrap();
    assert!(version.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)), "{version}");
}

/// The Universe's own check of files.
#[test]
fn the_files_are_plain_ascii() {
    for name in ["package.json", "config.json", "resource.json", "marathon.json.mustache"] {
        let text = text(name);
        assert!(text.is_ascii() && !text.contains("\\u"), "{name}");
    }
}

#[test]
fn options_and_app_are_those_of_the_settings() {
    for name in ["config.json", "marathon.json.mustache"] {
        let arguments = ["config", "universe", name];
        let output = Command::new(env!("CARGO_BIN_EXE_hawser")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let made = String::from_utf8(output.stdout).unwrap();
        let command = format!("hawser {} >dcos-package/universe/{name}", arguments.join(" "));
        assert!(made == text(name), "{name} is behind the settings: {command}");
    }
}

#[test]
fn every_option_has_a_default_and_a_description() {
    fn look(path: &str, schema: &Value) -> usize {
        assert!(path.is_empty() || schema["description"].is_string(), "{path}");
        match schema["properties"].as_object() {
            Some(below) => {
                below.iter().map(|(name, below)| look(&format!("{path}.{name}"), below)).sum()
            }
            None => {
                assert!(!schema["default"].is_null(), "{path}");
                1
            }
        }
    }
    assert!(look("", &Value::Object(object("config.json"))) > 40);
}

#[test]
fn with_the_defaults_it_is_an_app_that_puts_hawser_on_every_agent() {
    let app = rendered(&json!({}));

    assert_eq!(app["id"], "hawser");
    let supervise = format!(
        "echo '{}  hawser' | sha256sum -c - && exec ./hawser agent supervise",
        "0".repeat(64)
    );
    assert_eq!(app["cmd"], *supervise);
    assert_eq!(app["user"], "root");
    assert!(app.get("container").is_none(), "with an image it would not see the host: {app}");
    assert_eq!(app["constraints"], json!([["hostname", "UNIQUE"]]));
    assert_eq!(app["acceptedResourceRoles"], json!(["*", "slave_public"]));
    // Or an upgrade of few agents would begin with one task more, which has no place.
    let at_once = json!({"minimumHealthCapacity": 0, "maximumOverCapacity": 0});
    assert_eq!(app["upgradeStrategy"], at_once);
    assert_eq!(app["env"]["HAWSER_CLUSTER_ZOOKEEPER"], "master.mesos:2181");
    assert!(app["fetch"][0]["uri"].as_str().unwrap().ends_with("/hawser"), "{app}");
    assert!(app.get("secrets").is_none());
}

#[test]
fn whatever_is_said_arrives_as_it_was_said() {
    let odd = r#"a "b" \ <c> & {{d}} 'e'"#;
    let app = rendered(&json!({
        "service": {"name": "/storage-hawser", "agents": 40},
        "security": {"ca_secret": "hawser"},
        "backends": {"ebs": {"enabled": true, "tags": odd}},
    }));

    assert_eq!(app["id"], "/storage-hawser");
    assert_eq!(app["instances"], 40);
    assert_eq!(app["env"]["HAWSER_EBS_ENABLED"], "true");
    assert_eq!(app["env"]["HAWSER_EBS_TAGS"], odd);
    let cmd = app["cmd"].as_str().unwrap();
    assert!(cmd.ends_with(" && exec ./hawser agent supervise --ca-dir pki"), "{cmd}");
    assert_eq!(app["secrets"]["ca-key"]["source"], "hawser/ca.key");
    assert_eq!(
        app["container"]["volumes"][1],
        json!({"containerPath": "pki/ca.key", "secret": "ca-key"})
    );
}

/// Whoever may read apps would read them.
#[test]
fn every_secret_can_be_kept_in_the_secret_store() {
    let secrets = [
        ("ca_secret", "ca"),
        ("ebs_access_key_secret", "HAWSER_EBS_ACCESS_KEY"),
        ("ebs_secret_key_secret", "HAWSER_EBS_SECRET_KEY"),
        ("cluster_zookeeper_auth_secret", "HAWSER_CLUSTER_ZOOKEEPER_AUTH"),
        ("nfs_secret_secret", "HAWSER_NFS_SECRET"),
    ];
    for said in 0..1 << secrets.len() {
        let said: Vec<_> =
            (0..secrets.len()).filter(|at| said & (1 << at) != 0).map(|at| secrets[at]).collect();
        let paths: Map<_, _> =
            said.iter().map(|(option, _)| ((*option).to_owned(), json!("a/b"))).collect();
        let app = rendered(&json!({
            "security": paths,
            "backends": {"ebs": {"secret_key": "plain"}},
        }));

        let found = app.get("secrets").and_then(Value::as_object).cloned().unwrap_or_default();
        let of_ca = said.iter().any(|(_, name)| *name == "ca");
        assert_eq!(found.len(), said.len() + usize::from(of_ca), "{said:?}: {found:?}");
        for (_, name) in said.iter().filter(|(_, name)| *name != "ca") {
            assert_eq!(app["env"][name], json!({"secret": name}));
            assert_eq!(found[*name], json!({"source": "a/b"}));
        }
        let kept = said.iter().any(|(_, name)| *name == "HAWSER_EBS_SECRET_KEY");
        assert_eq!(app.to_string().contains("plain"), !kept, "{app}");
    }
}

/// In a group, the app's role is the group's (`marathon_new_group_enforce_role` of DC/OS is `top`), and
/// Marathon refuses that it also takes what is offered to public agents.
#[test]
fn its_name_is_in_no_group() {
    let config = Value::Object(object("config.json"));
    let pattern = config["properties"]["service"]["properties"]["name"]["pattern"].as_str();
    assert_eq!(pattern, Some("^/?[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
}

#[test]
fn it_is_an_app_without_a_finding() {
    let context = Context { driver: "hawser".to_owned(), defaults: None };
    for options in [
        json!({}),
        json!({"service": {"agents": 3}, "security": {"ca_secret": "hawser"}}),
        json!({"service": {"agents": 50, "minimum_health_capacity": 0.9}}),
    ] {
        let report = check(&rendered(&options).to_string(), &context).unwrap();
        assert!(report.findings.is_empty(), "{options}: {report:?}");
    }
    let few = json!({"service": {"agents": 4, "minimum_health_capacity": 0.8}});
    let report = check(&rendered(&few).to_string(), &context).unwrap();
    assert_eq!(report.findings[0].rule, "upgrade-place", "{report:?}");
}

/// What the app hands on is a configuration that hawser takes, but for what only a node has.
#[test]
fn its_environment_is_a_configuration() {
    let app = rendered(&json!({}));
    let environment = app["env"].as_object().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hawser"))
        .args(["config", "check", "--config", "/dev/null"])
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value.as_str().unwrap())))
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_release_is_a_repository_of_one_package() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("universe");
    let output = Command::new(path("build.sh"))
        .args(["--artifacts", "http://assets.example/hawser/0.1.0/", "--binary"])
        .arg(env!("CARGO_BIN_EXE_hawser"))
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let repository: Value =
        serde_json::from_str(&fs::read_to_string(out.join("repo.json")).unwrap()).unwrap();
    let package = &repository["packages"][0];
    assert_eq!(package["name"], "hawser");
    assert_eq!(package["releaseVersion"], 0);
    let uri = &package["resource"]["assets"]["uris"]["hawser"];
    assert_eq!(uri, "http://assets.example/hawser/0.1.0/hawser");
    let sum = fs::read_to_string(out.join("artifacts/hawser.sha256")).unwrap();
    let (sha256, _) = sum.split_once(' ').unwrap();
    let cli = &package["resource"]["cli"]["binaries"]["linux"]["x86-64"];
    assert_eq!((&cli["kind"], &cli["url"]), (&json!("executable"), uri));
    assert_eq!(cli["contentHash"][0]["value"], sha256);
    let expected = text("marathon.json.mustache").replace("{{sha256}}", sha256);
    assert_eq!(template_of(&out), expected);
    assert!(expected.contains(&format!("echo '{sha256}  hawser'")), "{expected}");
}

fn template_of(out: &Path) -> String {
    let repository: Value =
        serde_json::from_str(&fs::read_to_string(out.join("repo.json")).unwrap()).unwrap();
    let template = repository["packages"][0]["marathon"]["v2AppMustacheTemplate"].as_str().unwrap();
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, template);
    String::from_utf8(decoded.unwrap()).unwrap()
}

/// Root runs it on every agent, and it may come over HTTP.
#[test]
fn a_program_that_was_changed_on_its_way_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let (program, out) = (dir.path().join("hawser"), dir.path().join("out"));
    fs::write(&program, "#!/bin/sh\necho \"ran $*\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let build = Command::new(path("build.sh"))
        .args(["--artifacts", "http://assets.example", "--binary"])
        .arg(&program)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let template = template_of(&out);
    let begin = template.find("echo '").unwrap();
    let (cmd, _) = template[begin..].split_once("{{#security").unwrap();
    let run = || {
        // As Mesos' command executor runs it, in the sandbox.
        let output = Command::new("sh").args(["-c", cmd]).current_dir(dir.path()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };

    assert_eq!(run(), (true, "hawser: OK\nran agent supervise\n".to_owned()));
    fs::write(&program, "#!/bin/sh\necho \"Ran $*\"\n").unwrap();
    assert_eq!(run(), (false, "hawser: FAILED\n".to_owned()));
}

/// The steps of a release, with a toolchain that compiles nothing: it says what it was asked for, and hands out a program that is static
/// (busybox) or not (this test).
fn built(targets: &[&str], compilers: &[&str], program: &str) -> (bool, String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    for target in targets {
        fs::create_dir_all(dir.path().join("lib/rustlib").join(target)).unwrap();
    }
    for compiler in compilers {
        script(compiler, "exit 1");
    }
    let rustc = script("rustc", &format!("echo {}", dir.path().display()));
    let steps = "echo \"cargo $*\" >&2; env | grep -E '^(CC_|CARGO_TARGET_.*LINKER)' >&2
        while [ $# -gt 0 ]; do [ \"$1\" != --target ] || target=/$2; shift; done
        mkdir -p \"$CARGO_TARGET_DIR$target/release\" && cp \"$PROGRAM\" \"$CARGO_TARGET_DIR$target/release/hawser\"";
    let cargo = script("cargo", steps);
    let out = dir.path().join("out");
    let output = Command::new(path("build.sh"))
        .args(["--artifacts", "http://assets.example", "--out"])
        .arg(&out)
        .env("CARGO", cargo)
        .env("RUSTC", rustc)
        .env("PROGRAM", program)
        .env("CARGO_TARGET_DIR", dir.path().join("target"))
        // Without this machine's own compilers.
        .env("PATH", format!("{}:{}", dir.path().display(), without_compilers(dir.path())))
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let mut artifacts: Vec<_> = fs::read_dir(out.join("artifacts"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    artifacts.sort();
    (output.status.success(), said, artifacts)
}

/// A directory with what the script calls, and no more.
fn without_compilers(dir: &std::path::Path) -> String {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in [
        "bash",
        "cat",
        "cp",
        "cut",
        "dirname",
        "env",
        "grep",
        "head",
        "install",
        "ldd",
        "mkdir",
        "python3",
        "readelf",
        "rm",
        "sed",
        "sh",
        "sha256sum",
        "tr",
        "uname",
    ] {
        // The system's own: a version manager's stand-in would look for more than is here.
        let found = ["/usr/bin", "/bin"].map(|dir| PathBuf::from(dir).join(tool));
        let found = found.into_iter().find(|path| path.exists());
        let found = found.unwrap_or_else(|| panic!("no {tool}"));
        // By its own path: some look for their files beside it.
        let path = bin.join(tool);
        fs::write(&path, format!("#!/bin/sh\nexec {} \"$@\"\n", found.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin.display().to_string()
}

const MUSL: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];
const COMPILERS: [&str; 2] = ["x86_64-linux-musl-gcc", "aarch64-linux-musl-gcc"];

#[test]
fn a_release_is_static_for_both_processors_where_the_toolchain_can() {
    let (ok, said, artifacts) = built(&MUSL, &COMPILERS, "/bin/busybox");
    assert!(ok, "{said}");
    assert_eq!(artifacts, ["hawser", "hawser-arm64", "hawser-arm64.sha256", "hawser.sha256"]);
    for line in [
        "cargo build --locked --release --bin hawser --target x86_64-unknown-linux-musl",
        "cargo build --locked --release --bin hawser --target aarch64-unknown-linux-musl",
    ] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    assert!(said.contains("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER="), "{said}");
    assert!(said.contains("CC_aarch64_unknown_linux_musl="), "{said}");
    assert!(!said.contains("note:"), "{said}");
}

#[test]
fn a_release_that_cannot_be_static_says_what_is_missing() {
    let (ok, said, artifacts) = built(&[], &[], "/bin/busybox");
    assert!(ok, "{said}");
    assert_eq!(artifacts, ["hawser", "hawser.sha256"]);
    assert!(said.contains("rustup target add x86_64-unknown-linux-musl"), "{said}");
    assert!(said.contains("nothing for arm64") && said.contains("musl-tools"), "{said}");

    let (ok, said, artifacts) = built(&MUSL[..1], &COMPILERS[..1], "/bin/busybox");
    assert!(ok && artifacts == ["hawser", "hawser.sha256"], "{said}");
    assert!(said.contains("nothing for arm64") && !said.contains("for x86-64"), "{said}");
}

#[test]
fn a_program_that_turns_out_not_to_be_static_is_no_release() {
    let this = std::env::current_exe().unwrap();
    let (ok, said, artifacts) = built(&MUSL, &COMPILERS, this.to_str().unwrap());
    assert!(!ok && artifacts.is_empty(), "{said}");
    assert!(said.contains("is not static"), "{said}");
}
