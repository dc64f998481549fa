//! An app, as far as its volumes need it.

use super::{json::At, volume::Volume};

/// Which program makes the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Containerizer {
    Docker,
    Mesos,
}

/// An app, with its volumes.
#[derive(Debug)]
pub(super) struct App<'a> {
    pub(super) id: String,
    pub(super) at: At<'a>,
    /// How many tasks it has; 1 where it says nothing, or nothing that can be read.
    pub(super) instances: u64,
    pub(super) container: Option<Container<'a>>,
    /// What it asks of volume drivers, by whatever route.
    pub(super) volumes: Vec<Volume<'a>>,
}

#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) at: At<'a>,
    pub(super) kind: Containerizer,
}

impl<'a> App<'a> {
    pub(super) fn new(id: String, at: At<'a>) -> Self {
        let instances = at.get("instances").and_then(|at| at.value.as_u64()).unwrap_or(1);
        let container = at.get("container").map(|at| Container {
            kind: match at.text_of("type") {
                Some("MESOS") => Containerizer::Mesos,
                _ => Containerizer::Docker,
            },
            at,
        });
        let volumes = container.as_ref().map(Volume::all).unwrap_or_default();
        Self { id, at, instances, container, volumes }
    }

    /// How many tasks there may be at the same time, while a new version takes the place of an old one
    /// (`TaskReplaceActor.scala`).
    pub(super) fn tasks_during_upgrade(&self) -> u64 {
        let external = self.has_external();
        let healthy =
            self.part_of_instances("minimumHealthCapacity", if external { 0.5 } else { 1.0 });
        let over = self.part_of_instances("maximumOverCapacity", if external { 0.0 } else { 1.0 });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a number of tasks, which was one"
        )]
        let (healthy, over) = (healthy.ceil() as u64, over.floor() as u64);
        // Where none may be missing and none be too many, it starts one more all the same.
        if healthy == self.instances + over { healthy + 1 } else { self.instances + over }
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody has 2⁵² tasks")]
    fn part_of_instances(&self, key: &str, default: f64) -> f64 {
        let said = self.at.find(["upgradeStrategy", key]).and_then(|at| at.value.as_f64());
        said.unwrap_or(default).clamp(0.0, 1.0) * self.instances as f64
    }

    /// Whether it has external volumes, which change Marathon's defaults.
    fn has_external(&self) -> bool {
        let volumes = self.container.as_ref().map(|container| container.at.list("volumes"));
        volumes.unwrap_or_default().iter().any(|volume| volume.is("external"))
    }

    /// Whether each of its tasks is on a node of its own.
    pub(super) fn is_one_per_node(&self) -> bool {
        self.at.list("constraints").iter().any(|constraint| {
            let words: Vec<_> = constraint.items().iter().filter_map(At::text).collect();
            let [field, operator, rest @ ..] = words.as_slice() else { return false };
            let host = matches!(*field, "hostname" | "@hostname");
            let operator = operator.to_ascii_uppercase();
            host && (operator == "UNIQUE" || (operator == "MAX_PER" && rest == ["1"]))
        })
    }
}
