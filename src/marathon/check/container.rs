//! Marathon's rules for a container and the form of its volumes.

use serde_json::Value;

use super::typed;
use crate::marathon::{
    app::{Container, Containerizer},
    finding::Findings,
    json::At,
    rules,
};

pub(super) fn check(container: &Container<'_>, findings: &mut Findings) {
    let at = &container.at;
    if let Some(kind) = at.get("type")
        && !matches!(kind.text(), Some("DOCKER" | "MESOS"))
    {
        let what = "the type of the container is neither DOCKER nor MESOS";
        findings.add(&rules::JSON_TYPE, kind.path, what, "write \"DOCKER\" or \"MESOS\"");
    }
    let docker = typed(at, "docker", "an object", Value::is_object, findings);
    match container.kind {
        Containerizer::Docker => {
            image(at, docker.as_ref(), findings);
            docker.iter().for_each(|docker| parameters(docker, findings));
        }
        Containerizer::Mesos => docker.iter().for_each(|docker| mesos(docker, findings)),
    }
    if let Some(volumes) = typed(at, "volumes", "an array", Value::is_array, findings) {
        volumes.items().iter().for_each(|one| volume(one, findings));
    }
}

fn image(container: &At<'_>, docker: Option<&At<'_>>, findings: &mut Findings) {
    if docker.and_then(|docker| docker.text_of("image")).is_none_or(str::is_empty) {
        findings.add(
            &rules::DOCKER_IMAGE,
            docker.map_or_else(|| container.place("docker"), |docker| docker.place("image")),
            "a container of type DOCKER without an image",
            "name the image, or write \"type\": \"MESOS\"",
        );
    }
}

fn parameters(docker: &At<'_>, findings: &mut Findings) {
    let list = typed(docker, "parameters", "an array", Value::is_array, findings);
    for parameter in list.map(|list| list.items()).unwrap_or_default() {
        let filled = parameter.text_of("key").is_some_and(|key| !key.is_empty());
        if !filled || parameter.text_of("value").is_none() {
            findings.add(
                &rules::JSON_TYPE,
                parameter.path,
                "a parameter is not an object with the texts `key` and `value`",
                "write {\"key\": \"volume\", \"value\": \"NAME:/PATH\"}",
            );
        }
    }
}

fn mesos(docker: &At<'_>, findings: &mut Findings) {
    for key in ["parameters", "network", "portMappings"] {
        let Some(field) = docker.get(key) else { continue };
        let empty = field.value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            let instead = match key {
                "parameters" => {
                    "write the volume under `volumes` with \"external\", or the type DOCKER"
                }
                _ => "write `networks` and `container.portMappings`",
            };
            let what = format!("`{key}` in a container of type MESOS");
            findings.add(&rules::MESOS_PARAMETERS, field.path, what, instead);
        }
    }
}

fn volume(volume: &At<'_>, findings: &mut Findings) {
    let kinds = ["external", "persistent", "secret", "hostPath"];
    let given: Vec<_> = kinds.into_iter().filter(|kind| volume.is(kind)).collect();
    if given.len() != 1 {
        let what = match given.as_slice() {
            [] => "the volume is of no kind".to_owned(),
            given => format!("the volume is of several kinds: {}", given.join(", ")),
        };
        let instead = "give one of external, persistent, secret and hostPath";
        findings.add(&rules::VOLUME_KIND, volume.path.clone(), what, instead);
    }
    if volume.text_of("containerPath").is_none_or(str::is_empty) {
        let instead = "write where the volume is to be in the container";
        let what = "the volume has no containerPath";
        findings.add(&rules::CONTAINER_PATH, volume.place("containerPath"), what, instead);
    }
    let mode = volume.text_of("mode");
    if given != ["secret"] && !matches!(mode, Some("RO" | "RW")) {
        let what = "the volume's mode is neither \"RW\" nor \"RO\"";
        findings.add(&rules::VOLUME_MODE, volume.place("mode"), what, "write \"mode\": \"RW\"");
    }
    for key in ["external", "persistent"] {
        typed(volume, key, "an object", Value::is_object, findings);
    }
}
