//! Where things are in the ensemble: the paths, and how a change is named in the log.

use crate::{
    spec::VolumeName,
    volume::{NodeName, VolumeId},
};

/// The layout that this hawser reads and writes.
pub(super) const FORMAT: u64 = 1;

/// How many digits ZooKeeper adds to a numbered znode.
const DIGITS: usize = 10;

/// The paths, below the chroot.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: String,
}

impl Layout {
    /// Below that path; an empty one, or `/`, is the root itself.
    pub(super) fn new(chroot: &str) -> Self {
        let trimmed = chroot.trim_matches('/');
        let root = if trimmed.is_empty() { String::new() } else { format!("/{trimmed}") };
        Self { root }
    }

    /// The znodes above the chroot, from the top: others have theirs below them, too.
    pub(super) fn parents(&self) -> Vec<String> {
        let slashes = self.root.match_indices('/').skip(1);
        slashes.map(|(at, _)| self.root[..at].to_owned()).collect()
    }

    /// What must be there before anything else, from the top.
    pub(super) fn directories(&self) -> Vec<String> {
        let root = (!self.root.is_empty()).then(|| self.root.clone());
        let own = [self.volumes(), self.names(), self.nodes(), self.alive(), self.changes()];
        root.into_iter().chain(own).collect()
    }

    pub(super) fn format(&self) -> String {
        format!("{}/format", self.root)
    }

    pub(super) fn volumes(&self) -> String {
        format!("{}/volumes", self.root)
    }

    pub(super) fn volume(&self, id: VolumeId) -> String {
        format!("{}/volumes/{id}", self.root)
    }

    fn names(&self) -> String {
        format!("{}/names", self.root)
    }

    pub(super) fn name(&self, name: &VolumeName) -> String {
        format!("{}/names/{name}", self.root)
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}/nodes", self.root)
    }

    pub(super) fn node(&self, name: &NodeName) -> String {
        format!("{}/nodes/{name}", self.root)
    }

    pub(super) fn alive(&self) -> String {
        format!("{}/alive", self.root)
    }

    pub(super) fn alive_node(&self, name: &NodeName) -> String {
        format!("{}/alive/{name}", self.root)
    }

    pub(super) fn changes(&self) -> String {
        format!("{}/changes", self.root)
    }

    /// An entry of the log as it was found there.
    pub(super) fn change(&self, entry: &str) -> String {
        format!("{}/changes/{entry}", self.root)
    }

    /// A new entry of the log; ZooKeeper adds the number.
    pub(super) fn new_change(&self, subject: &Subject) -> String {
        match subject {
            Subject::Volume(id) => format!("{}/changes/volume-{id}-", self.root),
            Subject::Node(name) => format!("{}/changes/node-{name}-", self.root),
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Volume(VolumeId),
    Node(NodeName),
}

/// An entry of the log: its number, and what it is about. `None` is no entry of hawser's.
pub(super) fn parse_change(entry: &str) -> Option<(i64, Subject)> {
    let (rest, number) = entry.split_at_checked(entry.len().checked_sub(DIGITS)?)?;
    let number = number.parse().ok()?;
    let (kind, name) = rest.strip_suffix('-')?.split_once('-')?;
    let subject = match kind {
        "volume" => Subject::Volume(name.parse().ok()?),
        "node" => Subject::Node(name.parse().ok()?),
        _ => return None,
    };
    Some((number, subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_log_says_what_it_is_about() {
        let layout = Layout::new("/hawser/");
        let id = VolumeId::random();
        for subject in [Subject::Volume(id), Subject::Node("rack-1.node-7".parse().unwrap())] {
            let entry = format!("{}0000000042", layout.new_change(&subject));
            let entry = entry.strip_prefix("/hawser/changes/").unwrap();
            assert_eq!(parse_change(entry), Some((42, subject)));
        }
        for strange in ["", "x", "volume-0000000042", "volume-x-0000000042", "lock-a-0000000042"] {
            assert_eq!(parse_change(strange), None, "{strange}");
        }
    }

    #[test]
    fn directories_come_after_their_parents() {
        let deep = Layout::new("dcos/prod/hawser");
        assert_eq!(deep.parents(), ["/dcos", "/dcos/prod"]);
        assert_eq!(deep.directories()[..2], ["/dcos/prod/hawser", "/dcos/prod/hawser/volumes"]);
        assert!(Layout::new("/hawser").parents().is_empty());
        assert_eq!(Layout::new("/").directories()[0], "/volumes");
    }
}
