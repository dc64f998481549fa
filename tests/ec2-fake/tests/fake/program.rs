//! The program: what it prints, and that it leaves nothing behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use crate::client::{eventually, http};

/// Whether a loop device is bound to a file below this directory.
pub(crate) fn is_bound_below(dir: &Path) -> bool {
    fs::read_dir("/sys/block").unwrap().flatten().any(|entry| {
        fs::read_to_string(entry.path().join("loop/backing_file"))
            .is_ok_and(|file| file.starts_with(&*dir.to_string_lossy()))
    })
}

#[test]
fn the_program_says_where_it_is_and_ends_with_its_input() {
    let dir = tempfile::tempdir().unwrap();
    let dir_path = dir.path().canonicalize().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_ec2-fake"))
        .args(["--listen", "127.0.0.1:0", "--instance", "i-0123456789abcdef0", "--dir"])
        .arg(&dir_path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let endpoint = BufReader::new(program.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("export AWS_ENDPOINT_URL_EC2=")?.to_owned()))
        .unwrap();
    let address = endpoint.trim_start_matches("http://").parse().unwrap();
    let ask = |path: &str, body: &str| http(address, "POST", path, &[], body).unwrap();
    let (_, added) = ask("/fake/add-volume", "gib=1");
    let volume = added.split('"').nth(3).unwrap().to_owned();
    let form = format!(
        "Action=AttachVolume&VolumeId={volume}&InstanceId=i-0123456789abcdef0&Device=/dev/xvdba"
    );
    assert_eq!(ask("/", &form).0, 200);
    assert!(is_bound_below(&dir_path));
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
    eventually(|| !is_bound_below(&dir_path));
}

#[test]
fn an_option_that_it_does_not_know_is_64() {
    let status = Command::new(env!("CARGO_BIN_EXE_ec2-fake"))
        .args(["--nonsense", "x"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(64));
}
