//! QEMU's monitor (QMP): the hand that plugs disks and cables and holds the clock.

use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::lines::Lines;

/// QEMU answers from its main loop, which a busy host delays and nothing else.
const ANSWER: Duration = Duration::from_secs(30);

/// The monitor of one running machine.
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
        let request = json!({"execute": command, "arguments": arguments}).to_string();
        self.lines.send(request.as_bytes()).expect("QEMU's monitor reads");
        let deadline = Instant::now() + ANSWER;
        loop {
            let mut line = self.lines.receive(deadline).unwrap_or_else(|error| {
                panic!("QEMU did not answer {request}: {error}");
            });
            if let Some(value) = line.get_mut("return") {
                return value.take();
            }
            assert!(line.get("error").is_none(), "QEMU refused {request}: {line}");
            self.events.push_back(line);
        }
    }

    /// Waits for an event, also one that came before, in which this pointer has this value.
    #[track_caller]
    pub(crate) fn wait_event(&mut self, name: &str, pointer: &str, value: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let event = self.events.pop_front().unwrap_or_else(|| {
                let line = self.lines.receive(deadline);
                line.unwrap_or_else(|error| panic!("no {name} of {value}: {error}"))
            });
            if event["event"] == name && event.pointer(pointer) == Some(&Value::from(value)) {
                return;
            }
        }
    }
}
