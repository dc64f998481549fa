//! Commands in a machine, by QEMU's guest agent: over a virtual serial line, so that they work where
//! the machine's network is cut.
//!
//! The agent starts a program and is asked again until it has ended. The output comes at the end.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::lines::Lines;

/// One answer of the agent, which does nothing slow before it answers.
const ANSWER: Duration = Duration::from_secs(30);

/// What a program in a machine left behind.
pub(crate) struct Outcome {
    what: String,
    pub(crate) code: i64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The standard output without its last line break, of a program that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.code == 0, "should have succeeded: {self}");
        self.stdout.trim_end().to_owned()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, code, stdout, stderr } = self;
        write!(f, "{what}\nexit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// The agent of one running machine.
pub(crate) struct Agent {
    lines: Lines,
    /// Which question was the last one that both sides agreed on.
    sync: u32,
    in_step: bool,
}

impl Agent {
    /// Connects; the agent itself may not run yet.
    pub(crate) fn open(socket: &Path) -> io::Result<Self> {
        Ok(Self { lines: Lines::open(socket)?, sync: 0, in_step: false })
    }

    /// Asks whether the agent is there, and skips what it still says to questions that were given up.
    pub(crate) fn synchronise(&mut self, limit: Duration) -> io::Result<()> {
        self.sync += 1;
        let question = json!({
            "execute": "guest-sync-delimited", "arguments": {"id": self.sync}
        });
        self.lines.send(&[b"\xff", question.to_string().as_bytes()].concat())?;
        let deadline = Instant::now() + limit;
        loop {
            match self.lines.receive(deadline) {
                Ok(line) if line["return"] == self.sync => break,
                Ok(_) => {}
                // A stray byte of the line's first moments.
                Err(error) if error.kind() == ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
        self.in_step = true;
        Ok(())
    }

    fn call(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        if !self.in_step {
            self.synchronise(ANSWER)?;
        }
        self.in_step = false;
        let request = json!({"execute": command, "arguments": arguments}).to_string();
        self.lines.send(request.as_bytes())?;
        let mut line = self.lines.receive(Instant::now() + ANSWER)?;
        self.in_step = true;
        match line.get_mut("return") {
            Some(value) => Ok(value.take()),
            None => Err(io::Error::other(format!("{request}: {line}"))),
        }
    }

    /// Starts a program; the answer names it for [`Self::wait`].
    pub(crate) fn start(&mut self, argv: &[&str]) -> io::Result<Job> {
        let arguments = json!({
            "path": argv[0],
            "arg": argv[1..],
            "env": ["PATH=/lab:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"],
            "capture-output": true,
        });
        let pid = self.call("guest-exec", &arguments)?["pid"].clone();
        Ok(Job { what: argv.join(" "), pid })
    }

    /// The outcome of a program that has ended.
    pub(crate) fn poll(&mut self, job: &Job) -> io::Result<Option<Outcome>> {
        let status = self.call("guest-exec-status", &json!({"pid": job.pid}))?;
        if status["exited"] != true {
            return Ok(None);
        }
        let text = |key: &str| {
            let bytes = STANDARD.decode(status[key].as_str().unwrap_or_default());
            String::from_utf8_lossy(&bytes.expect("the agent speaks base64")).into_owned()
        };
        Ok(Some(Outcome {
            what: job.what.clone(),
            // A program that a signal ended has no exit code.
            code: status["exitcode"].as_i64().unwrap_or(-1),
            stdout: text("out-data"),
            stderr: text("err-data"),
        }))
    }

    /// Waits for a program's end; `TimedOut` where it did not end.
    pub(crate) fn wait(&mut self, job: &Job, limit: Duration) -> io::Result<Outcome> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(outcome) = self.poll(job)? {
                return Ok(outcome);
            }
            if Instant::now() > deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

/// A program that was started in a machine.
pub(crate) struct Job {
    pub(crate) what: String,
    pub(crate) pid: Value,
}
