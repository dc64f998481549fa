//! QEMU's monitor (QMP): the hand that plugs disks and cables and holds the clock.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::lines::Lines;

/// QEMU answers from its main loop, which a busy host delays and nothing else.
const ANSWER: Duration = Duration::from_secs(30);

/// The monitor of one running machine.
#[derive(Debug)]
pub(crate) struct Monitor {
    lines: Lines,
    events: VecDeque<Value>,
}

impl Monitor {
    /// Takes QEMU's greeting.
    #[track_caller]
    pub(crate) fn open(socket: &Path) -> Self {
        let mut lines = Lines::open(socket).expect("QEMU's monitor accepts");
        lines.receive(Instant::now() + ANSWER).expect("QEMU greets");
        let mut monitor = Self { lines, events: VecDeque::new() };
        monitor.execute("qmp_capabilities", &json!({}));
        monitor
    }

    /// One command, which has to succeed.
    #[track_caller]
    pub(crate) fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        self.request(command, arguments).unwrap_or_else(|error| panic!("{error}"))
    }

    /// One command, which may be refused.
    pub(crate) fn request(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        let request = json!({"execute": command, "arguments": arguments}).to_string();
        self.lines.send(request.as_bytes())?;
        let deadline = Instant::now() + ANSWER;
        loop {
            let mut line = self.lines.receive(deadline).map_err(|error| {
                io::Error::other(format!("QEMU did not answer {request}: {error}"))
            })?;
            if let Some(value) = line.get_mut("return") {
                return Ok(value.take());
            }
            if line.get("error").is_some() {
                return Err(io::Error::other(format!("QEMU refused {request}: {line}")));
            }
            self.events.push_back(line);
        }
    }

    /// The next event, also one that came before.
    pub(crate) fn event(&mut self, deadline: Instant) -> Option<Value> {
        self.events.pop_front().or_else(|| self.lines.receive(deadline).ok())
    }

    /// Waits for an event, also one that came before, in which this pointer has this value.
    #[track_caller]
    pub(crate) fn wait_event(&mut self, name: &str, pointer: &str, value: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let event = self.event(deadline);
            let event = event.unwrap_or_else(|| panic!("no {name} of {value} in {limit:?}"));
            if event["event"] == name && event.pointer(pointer) == Some(&Value::from(value)) {
                return;
            }
        }
    }
}
