//! Other processes that call the plugin: this test program itself, started again with one test, the
//! helper below, which does what its standard input says.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::{Connection, World};

const SOCKET: &str = "CALLER_SOCKET";
const MARK: &str = "ANSWER ";

/// A process that calls, as one Docker engine or one dvdcli; killed when dropped.
pub(crate) struct Caller {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Caller {
    pub(crate) fn start(world: &World) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "harness::callers::helper", "--ignored", "--nocapture"])
            .env(SOCKET, world.path("hawser.sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// One call; the answer, which must be a success.
    #[track_caller]
    pub(crate) fn call(&mut self, call: &str, body: &Value) -> Value {
        writeln!(self.input, "{call} {body}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the caller ended");
            if let Some((_, answer)) = line.split_once(MARK) {
                return serde_json::from_str(answer).unwrap();
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "not a test: another process for the tests"]
fn helper() {
    // Started as a test by hand, there is nobody to work for.
    let Ok(socket) = std::env::var(SOCKET) else { return };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (call, body) = line.split_once(' ').unwrap();
        let mut connection = Connection::open(Path::new(&socket)).unwrap();
        let answer = connection.post(&format!("VolumeDriver.{call}"), body).unwrap().ok();
        println!("{MARK}{answer}");
    }
}
