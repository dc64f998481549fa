//! A task that writes, and what of it was acknowledged: see tests/lab/guest/write-lines.py.

use std::{fs, time::Duration};

use super::{Job, Machine, PATIENCE, eventually};

/// A writer's lines, as its machine's console has them.
pub(crate) struct Acknowledged {
    /// The last line that was acknowledged.
    pub(crate) last: u64,
    /// The longest time that one of them took.
    pub(crate) longest: Duration,
}

impl Machine {
    /// Starts a writer to this file; tags have to differ.
    #[track_caller]
    pub(crate) fn start_writer(&self, file: &str, tag: &str) -> Job {
        self.spawn(&["/lab/write-lines.py", file, tag])
    }

    /// What a writer has acknowledged; it must not have failed.
    #[track_caller]
    pub(crate) fn acknowledged(&self, tag: &str) -> Acknowledged {
        let failed = self.writer_failed(tag);
        assert!(failed.is_none(), "a writer got an error: {failed:?}");
        self.reported(tag)
    }

    /// What a writer said when it could not go on.
    pub(crate) fn writer_failed(&self, tag: &str) -> Option<String> {
        let start = format!("failed {tag} ");
        let console = self.printed();
        console.lines().find(|line| line.contains(&start)).map(str::to_owned)
    }

    /// What a writer has acknowledged, whatever became of it.
    pub(crate) fn reported(&self, tag: &str) -> Acknowledged {
        let console = self.printed();
        let start = format!("acked {tag} ");
        let rows = console.lines().filter_map(|line| Some(line.split_once(&start)?.1));
        let mut acknowledged = Acknowledged { last: 0, longest: Duration::ZERO };
        for row in rows {
            // The kernel's own lines may run into these, and a power loss cuts the last one short.
            let mut numbers = row.split(' ').map_while(|number| number.trim().parse().ok());
            if let (Some(line), Some(took)) = (numbers.next(), numbers.next()) {
                acknowledged.last = acknowledged.last.max(line);
                acknowledged.longest = acknowledged.longest.max(Duration::from_millis(took));
            }
        }
        acknowledged
    }

    /// How often it has printed this; hawser's log is among what it prints.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.printed().matches(text).count()
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.console()).unwrap()).into_owned()
    }

    /// Waits until a writer has this many lines acknowledged.
    #[track_caller]
    pub(crate) fn wait_acknowledged(&self, tag: &str, lines: u64) {
        let what = format!("{tag} has {lines} lines");
        eventually(&what, PATIENCE, || self.acknowledged(tag).last >= lines);
    }

    /// Every line up to this one has to be in the file, once and in order. One more may be there, which
    /// was written and not acknowledged.
    #[track_caller]
    pub(crate) fn assert_has_lines(&self, file: &str, last: u64) {
        let text = self.run(&["/bin/cat", file]).ok();
        let lines: Vec<u64> = text.lines().map_while(|line| line.parse().ok()).collect();
        let expected: Vec<u64> = (1..).take(lines.len()).collect();
        assert_eq!(lines, expected, "{file} has other lines than were written");
        let found = lines.len() as u64;
        assert!(found >= last, "{file}: line {last} was acknowledged, and {found} is the last one");
    }
}
