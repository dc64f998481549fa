//! `dcos hawser …`, as the DC/OS CLI calls it (dcos-cli, design/plugin.md: the subcommand's name is the first argument, and its own
//! path is in `DCOS_CLI_EXECUTABLE_PATH`), with a `dcos` that says what it was called with.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code runs programs and fails by panicking"
)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    process::{Command, Output},
};

/// Runs `dcos hawser …`, and the `dcos` that it may call ends with exit code 7.
fn dcos(agent: Option<&str>, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let (program, dcos) = (dir.path().join("dcos-hawser"), dir.path().join("dcos"));
    symlink(env!("CARGO_BIN_EXE_hawser"), &program).unwrap();
    fs::write(&dcos, "#!/bin/sh\necho called:\nprintf '%s\\n' \"$@\"\nexit 7\n").unwrap();
    fs::set_permissions(&dcos, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.arg("hawser").args(arguments).env("DCOS_CLI_EXECUTABLE_PATH", dcos);
    command.env_remove("DCOS_HAWSER_AGENT");
    command.envs(agent.map(|agent| ("DCOS_HAWSER_AGENT", agent)));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What `dcos` was called with.
#[track_caller]
fn called(output: &Output) -> Vec<String> {
    let said = text(&output.stdout);
    let arguments = said.strip_prefix("called:\n").unwrap_or_else(|| panic!("{output:?}"));
    arguments.lines().map(str::to_owned).collect()
}

#[test]
fn it_says_what_the_dcos_cli_asks_of_a_subcommand() {
    let info = dcos(None, &["--info"]);
    assert!(info.status.success() && text(&info.stdout).lines().count() == 1, "{info:?}");
    let version = text(&dcos(None, &["--version"]).stdout);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let schema = dcos(None, &["--config-schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert_eq!(schema["properties"]["agent"]["type"], "string");
    let help = text(&dcos(None, &["--help"]).stdout);
    assert!(help.contains("--agent IP") && help.contains("volume"), "{help}");
}

#[test]
fn what_needs_no_daemon_is_done_here() {
    let check = dcos(None, &["marathon", "check", "examples/marathon/postgres.json"]);
    assert!(check.status.success(), "{check:?}");
    let spec = dcos(None, &["spec", "name=a,size=2GiB"]);
    assert!(spec.status.success() && text(&spec.stdout).contains("2GiB"), "{spec:?}");
}

#[test]
fn volumes_are_asked_of_an_agent_by_dcos_node_ssh() {
    let remote = ["--", "sudo", "-n", "/opt/hawser/bin/hawser", "volume", "ls", "--json"];
    let output = dcos(Some("10.0.0.5"), &["volume", "ls", "--json"]);
    let expected = [&["node", "ssh", "--master-proxy", "--private-ip=10.0.0.5"][..], &remote];
    assert_eq!(called(&output), expected.concat());
    assert_eq!(output.status.code(), Some(7), "what ended there ends here");

    for own in [&["--no-proxy", "--agent", "10.0.0.6"][..], &["--agent=10.0.0.6", "--no-proxy"]] {
        let output = dcos(Some("10.0.0.5"), &[own, &["volume", "ls", "--json"]].concat());
        let expected = [&["node", "ssh", "--private-ip=10.0.0.6"][..], &remote].concat();
        assert_eq!(called(&output), expected);
    }
    let grow = ["volume", "grow", "pgdata", "40GiB"];
    assert_eq!(called(&dcos(Some("10.0.0.5"), &grow))[8..], grow);
}

#[test]
fn nothing_reaches_the_agents_shell_that_it_would_read() {
    for odd in ["a;reboot", "$(reboot)", "a b", "a'b", "`a`", "a>b", "a*", "~", "a&b", "a\nb", ""] {
        let output = dcos(Some("10.0.0.5"), &["volume", "rm", "--yes", odd]);
        assert_eq!(output.status.code(), Some(64), "{odd}: {output:?}");
        assert!(output.stdout.is_empty(), "{odd}: {output:?}");
    }
    for agent in ["-oProxyCommand=x y", "10.0.0.5 x", "$(a)"] {
        let output = dcos(Some(agent), &["volume", "ls"]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{agent}");
    }
}

#[test]
fn mistakes_are_told_here_and_commands_of_an_agent_itself_are_refused() {
    for (arguments, why) in [
        (&["volume", "ls"][..], "hawser.agent"),
        (&["volume", "frob"], "frob"),
        (&["serve"], "dcos node ssh"),
        (&["agent", "uninstall"], "dcos node ssh"),
    ] {
        let output = dcos(Some(""), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(why), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
