//! Volumes that a task gets by their path on the agent, where hawser keeps them mounted.

use super::super::{
    app::{Container, Containerizer},
    finding::Findings,
    json::At,
    rules,
};

/// Where volumes are while nothing else is configured (`daemon.state_dir` and `daemon.root`).
const VOLUMES: &str = "/var/lib/hawser/mnt/volumes/";

/// An app's.
pub(super) fn check(container: &Container<'_>, findings: &mut Findings) {
    for volume in container.at.list("volumes") {
        let Some((at, name)) = volume.get("hostPath").and_then(published) else { continue };
        match container.kind {
            Containerizer::Mesos => advise(&at, &name, findings),
            Containerizer::Docker => {
                let what =
                    format!("the volume `{name}` by its path, in a container of type DOCKER");
                let instead = "write it as docker.parameters, volume-driver and volume, for any number of tasks";
                findings.add(&rules::PUBLISHED_DOCKER, at.path, what, instead);
            }
        }
    }
}

/// A pod's volume.
pub(super) fn check_of_pod(volume: &At<'_>, findings: &mut Findings) {
    if let Some((at, name)) = volume.get("host").and_then(published) {
        advise(&at, &name, findings);
    }
}

fn advise(at: &At<'_>, name: &str, findings: &mut Findings) {
    let what = format!("the volume `{name}` by its path");
    let instead = "publish it on every agent that can run the task: the setting volumes.publish, or `hawser volume \
                   publish` there; for tasks on several agents with shared=true, or on an NFS server";
    findings.add(&rules::PUBLISHED_PATH, at.path.clone(), what, instead);
}

/// The name of the volume that a path of the host leads to or into.
fn published(at: At<'_>) -> Option<(At<'_>, String)> {
    let name = at.text()?.strip_prefix(VOLUMES)?.split('/').next()?.to_owned();
    (!name.is_empty()).then_some((at, name))
}
