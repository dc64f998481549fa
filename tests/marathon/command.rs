//! `hawser marathon`, as people call it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::directory;

/// Runs it, with this on its standard input.
#[track_caller]
fn marathon(arguments: &[&str], input: &str) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    let mut child = Command::new(env!("CARGO_BIN_EXE_hawser"))
        .env_clear()
        .current_dir(directory("tests/golden/marathon"))
        .arg("marathon")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn an_error_in_any_file_makes_the_exit_code_1() {
    let right = "right/docker-one.json";
    let output = marathon(&["check", right], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        format!("{right}: apps: 1, errors: 0, warnings: 0, advice: 0\n")
    );

    let output = marathon(&["check", "wrong/several-on-one.json", right], "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stdout);
    for part in ["error: /a: container.docker.parameters[1].value: 2 instances", "why:", "instead:"]
    {
        assert!(said.contains(part), "{said}");
    }
    let output = marathon(&["check", "wrong/unreachable.json"], "");
    assert_eq!(output.status.code(), Some(0), "warnings and advice are no errors: {output:?}");
}

#[test]
fn findings_are_printed_as_json_and_read_from_the_standard_input() {
    let app = r#"{"id": "/a", "cmd": "x", "instances": "1"}"#;
    let output = marathon(&["check", "--json", "-"], app);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said[0]["file"], &said[0]["apps"]), (&"-".into(), &1.into()));
    let finding = &said[0]["findings"][0];
    assert_eq!(finding["level"], "error");
    assert_eq!(finding["rule"], "json-type");
    assert_eq!((&finding["app"], &finding["path"]), (&"/a".into(), &"instances".into()));
    for key in ["what", "why", "source", "instead"] {
        assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
    }
}

#[test]
fn a_file_that_is_no_app_is_an_error_with_its_name() {
    for (arguments, part) in [
        (["check", "findings.txt"], "findings.txt: not JSON"),
        (["check", "nothing.json"], "cannot read nothing.json"),
        (["convert", "findings.txt"], "findings.txt: not JSON"),
    ] {
        let output = marathon(&arguments, "");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(part), "{output:?}");
    }
}

#[test]
fn convert_prints_the_app_and_on_stderr_the_difference_the_notes_and_what_is_left_to_do() {
    let output = marathon(&["convert", "convert/rexray-parameters.json"], "");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let app: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(app["container"]["docker"]["parameters"][0]["value"], "hawser");
    let said = text(&output.stderr);
    for part in [
        "-          \"value\": \"rexray/ebs:0.11.4\"",
        "+          \"value\": \"hawser\"",
        "take the volume over first",
        "warning: /pg: upgradeStrategy",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let nameless = r#"{"id": "/a", "container": {"docker": {"image": "x", "parameters": [
        {"key": "volume-driver", "value": "pxd"}, {"key": "volume", "value": "size=5:/a"}]}}}"#;
    let output = marathon(&["convert", "-"], nameless);
    assert_eq!(output.status.code(), Some(1), "a volume was left: {output:?}");
    let output = marathon(&["convert", "--driver", "disk", "right/docker-one.json"], "");
    assert!(
        text(&output.stderr).contains("there is no volume of REX-Ray or Portworx"),
        "{output:?}"
    );
}
