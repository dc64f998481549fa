//! One test per promise of the design's "Holders, names, mounts", and the table of everything.

mod holders;
mod life;
mod table;

use super::*;
use crate::volume::Holder;
use crate::volume::testing::{START, at, dockerd, id, used_record};

/// A volume in a test's hands: every step that is taken with it must be accepted.
struct Volume(Record);

impl Volume {
    /// Used before, held by nobody.
    fn free() -> Self {
        Self(used_record())
    }

    #[track_caller]
    fn then(self, event: Event) -> Self {
        self.at(0, event)
    }

    /// A step some seconds after the start.
    #[track_caller]
    fn at(self, seconds: i64, event: Event) -> Self {
        Self(apply(&self.0, event, at(seconds)).unwrap())
    }

    #[track_caller]
    fn refuses(&self, event: Event) -> Refusal {
        apply(&self.0, event, START).unwrap_err()
    }

    /// The references of each holder.
    fn counts(&self) -> Vec<(String, u32)> {
        let count = |holder: &Holder| (holder.id.to_string(), holder.count);
        self.0.holders.iter().map(count).collect()
    }

    #[track_caller]
    fn holds(self, expected: &[(&str, u32)]) -> Self {
        let expected: Vec<_> = expected.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect();
        assert_eq!(self.counts(), expected);
        self
    }
}

/// A Mount by the dockerd that counted before, if one did.
fn mount(holder: &str) -> Event {
    Event::Mount { id: id(holder), epoch: dockerd(1), inherited: Inherited::No }
}

/// A Mount by a dockerd that was started after the one that counted was killed.
fn mount_by_new_dockerd(holder: &str) -> Event {
    Event::Mount { id: id(holder), epoch: dockerd(2), inherited: Inherited::Yes }
}

fn unmount(holder: &str, outside: Outside) -> Event {
    Event::Unmount { id: id(holder), inherited: Inherited::No, outside }
}

fn unmount_by_new_dockerd(holder: &str, outside: Outside) -> Event {
    Event::Unmount { id: id(holder), inherited: Inherited::Yes, outside }
}

fn abandon(holder: &str, outside: Outside) -> Event {
    Event::Abandon { id: id(holder), epoch: dockerd(1), outside }
}

fn abandon_by_new_dockerd(holder: &str, outside: Outside) -> Event {
    Event::Abandon { id: id(holder), epoch: dockerd(2), outside }
}

/// A look that finds these callers dead; orphans older than ten minutes are collected.
fn sweep(dead: &[&str], outside: Outside, seconds: i64) -> Event {
    let dead = dead.iter().map(|holder| id(holder)).collect();
    Event::Swept { dead, outside, orphaned_before: at(seconds - 600) }
}

fn remove() -> Event {
    Event::Remove { purge: Purge::At(at(3600)) }
}
