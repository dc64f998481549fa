//! The rules, a row each: what comes of breaking it, and where that is written.
//!
//! What Marathon says was read at its last commit, 90619da70 (1.11), and at the tags that a row names.

use super::finding::{
    Level,
    Level::{Advice, Error, Warning},
};

/// A rule that an app can break.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What comes of it.
    pub why: &'static str,
    /// Where that is written.
    pub source: &'static str,
}

const RAML: &str = "Marathon 1.11, rest-api types: app.raml, appContainer.raml, volumes.raml";
const PATH_ID: &str = "Marathon 1.11, PathId.scala";
const APP: &str = "Marathon 1.11, AppValidation.scala";
const SCHEDULING: &str = "Marathon 1.11, SchedulingValidation.scala";
const DVDI: &str = "Marathon 1.11, DVDIProvider.scala";
const OPTIONS: &str = "Marathon 1.11, DVDIProvider.scala and OptionSupport.scala";
const UNIQUE: &str = "Marathon 1.11, ProviderValidationHelpers.scala";
const UPGRADE: &str = "Marathon 1.11, UpgradeStrategy.scala and TaskReplaceActor.scala";
const UNREACHABLE: &str = "Marathon 1.11, UnreachableStrategy.scala and unreachable.md";
const EXTERNAL_DOC: &str = "Marathon, external-volumes.md";
const CHANGELOG: &str = "Marathon, changelog: free names since 1.8.222 and 1.9.100, MARATHON-8697";
const DOCKER: &str = "docker/cli, volumespec.go and opts/mount.go";
const LOCAL_DRIVER: &str = "moby, volume/local/local.go";
const MESOS_DOCKER: &str = "Mesos, src/docker/docker.cpp";
const DVDCLI: &str = "dvdcli, commands.go";
const OURS_SPEC: &str = "hawser spec --help-keys";
const OURS_SHARING: &str = "hawser, docs/sharing.md";
const OURS_GROUPS: &str = "hawser, docs/groups.md";
const OURS_NAMES: &str = "hawser, docs/marathon.md";
const OURS_PUBLISHED: &str = "hawser, docs/marathon.md; Mesos, isolators/volume/host_path.cpp";
const DOCKER_BIND: &str = "Docker, storage/bind-mounts: differences between -v and --mount";
const OURS_CONVERT: &str = "hawser, docs/marathon.md";
const OURS_CSI: &str = "hawser, docs/marathon.md";

pub(super) static JSON_TYPE: Rule = Rule {
    name: "json-type",
    level: Error,
    why: "Marathon refuses a field of another type",
    source: RAML,
};
pub(super) static APP_ID: Rule =
    Rule { name: "app-id", level: Error, why: "Marathon refuses the app", source: PATH_ID };
pub(super) static NO_TASK: Rule = Rule {
    name: "no-task",
    level: Error,
    why: "an app has `cmd` or `args`, not both, or a container that has a command of its own",
    source: APP,
};
pub(super) static CONSTRAINT: Rule =
    Rule { name: "constraint", level: Error, why: "Marathon refuses the app", source: SCHEDULING };
pub(super) static DOCKER_IMAGE: Rule = Rule {
    name: "docker-image",
    level: Error,
    why: "a container is of type DOCKER where nothing else is said, and such a one needs an image",
    source: APP,
};
pub(super) static MESOS_PARAMETERS: Rule = Rule {
    name: "mesos-parameters",
    level: Error,
    why: "the Mesos containerizer calls no Docker: Marathon refuses its parameters, network and port mappings",
    source: APP,
};
pub(super) static VOLUME_KIND: Rule = Rule {
    name: "volume-kind",
    level: Error,
    why: "Marathon cannot tell which kind of volume it is",
    source: RAML,
};
pub(super) static VOLUME_MODE: Rule = Rule {
    name: "volume-mode",
    level: Error,
    why: "a volume of an app says RW or RO",
    source: RAML,
};
pub(super) static CONTAINER_PATH: Rule =
    Rule { name: "container-path", level: Error, why: "Marathon refuses the volume", source: DVDI };
pub(super) static EXTERNAL_NAME: Rule =
    Rule { name: "external-name", level: Error, why: "Marathon refuses the volume", source: DVDI };
pub(super) static EXTERNAL_PROVIDER: Rule = Rule {
    name: "external-provider",
    level: Error,
    why: "Marathon knows the providers dvdi and, since 1.11, csi",
    source: DVDI,
};
pub(super) static EXTERNAL_SIZE: Rule = Rule {
    name: "external-size",
    level: Error,
    why: "the size is a whole number of GiB",
    source: RAML,
};
pub(super) static DVDI_DRIVER: Rule = Rule {
    name: "dvdi-driver",
    level: Error,
    why: "Marathon wants a driver made of a-z, 0-9 and `-`",
    source: DVDI,
};
pub(super) static OPTION_KEY: Rule =
    Rule { name: "option-key", level: Error, why: "Marathon refuses the volume", source: APP };
pub(super) static REXRAY_OPTION: Rule = Rule {
    name: "rexray-option",
    level: Error,
    why: "of the driver `rexray` Marathon knows some options, and refuses other values of them",
    source: OPTIONS,
};
pub(super) static DVDI_INSTANCES: Rule = Rule {
    name: "dvdi-instances",
    level: Error,
    why: "Marathon allows one instance of an app with dvdi volumes, shared or not",
    source: DVDI,
};
pub(super) static DVDI_READ_ONLY: Rule = Rule {
    name: "dvdi-read-only",
    level: Error,
    why: "the Mesos containerizer mounts dvdi volumes for reading and writing only",
    source: DVDI,
};
pub(super) static DVDI_DOCKER_OPTIONS: Rule = Rule {
    name: "dvdi-docker-options",
    level: Error,
    why: "the Docker containerizer hands on the volume's name and driver, and nothing else: Marathon refuses the rest",
    source: DVDI,
};
pub(super) static DVDI_NAME_TWICE: Rule = Rule {
    name: "dvdi-name-twice",
    level: Error,
    why: "Marathon refuses two external volumes of one name in an app",
    source: DVDI,
};
pub(super) static DVDI_NAME_IN_TWO_APPS: Rule = Rule {
    name: "dvdi-name-in-two-apps",
    level: Error,
    why: "Marathon refuses two apps with a dvdi volume of one name, unless both say \"shared\": true",
    source: UNIQUE,
};
pub(super) static UPGRADE_RANGE: Rule = Rule {
    name: "upgrade-range",
    level: Error,
    why: "Marathon refuses the app",
    source: SCHEDULING,
};
pub(super) static DVDI_UPGRADE: Rule = Rule {
    name: "dvdi-upgrade",
    level: Error,
    why: "Marathon wants maximumOverCapacity 0 where there are dvdi volumes",
    source: SCHEDULING,
};
pub(super) static UNREACHABLE_RANGE: Rule = Rule {
    name: "unreachable-range",
    level: Error,
    why: "Marathon refuses the app",
    source: UNREACHABLE,
};
pub(super) static POD_VOLUME: Rule = Rule {
    name: "pod-volume",
    level: Error,
    why: "a pod has no external volumes, in no version of Marathon",
    source: RAML,
};
pub(super) static CSI_VOLUME: Rule = Rule {
    name: "csi-volume",
    level: Error,
    why: "hawser is no CSI plugin: the agent finds none of that name, and the task fails",
    source: OURS_CSI,
};
pub(super) static SPEC: Rule = Rule {
    name: "spec",
    level: Error,
    why: "hawser refuses the mount, and the task fails when it starts",
    source: OURS_SPEC,
};
pub(super) static PARAMETER_FORM: Rule = Rule {
    name: "parameter-form",
    level: Error,
    why: "Docker refuses to make the container, and the task fails when it starts",
    source: DOCKER,
};
pub(super) static NO_DRIVER: Rule = Rule {
    name: "no-driver",
    level: Error,
    why: "without a driver Docker asks its own, which takes no `,` and no `=` in names, and no size",
    source: LOCAL_DRIVER,
};
pub(super) static TWO_DRIVERS: Rule = Rule {
    name: "two-drivers",
    level: Error,
    why: "a container of the Docker containerizer has one driver for all of its volumes",
    source: MESOS_DOCKER,
};
pub(super) static SAME_PATH: Rule = Rule {
    name: "same-path",
    level: Error,
    why: "Docker refuses two volumes at one path, and the task fails when it starts",
    source: DOCKER,
};
pub(super) static DVDCLI_VALUE: Rule = Rule {
    name: "dvdcli-value",
    level: Error,
    why: "dvdcli ends a value at its second `=`, and crashes on what follows a `,`",
    source: DVDCLI,
};
pub(super) static SEVERAL_ON_ONE: Rule = Rule {
    name: "several-on-one",
    level: Error,
    why: "tasks of one node at a time use a volume that is not shared: those on other nodes fail, and those on one node write over each other",
    source: OURS_SHARING,
};
pub(super) static SCALE_TOO_SMALL: Rule = Rule {
    name: "scale-too-small",
    level: Error,
    why: "a task that finds no free member of the group fails when it starts",
    source: OURS_GROUPS,
};
pub(super) static SCALE_ONE: Rule = Rule {
    name: "scale-one",
    level: Warning,
    why: "such an app has one task, and Mesos sends no id: all tasks of a node would share one member",
    source: OURS_GROUPS,
};
pub(super) static UPGRADE_OVERLAP: Rule = Rule {
    name: "upgrade-overlap",
    level: Warning,
    why: "the new task is started beside the old one: on another node it cannot have the volume before that has ended, which Marathon waits for; on the same one both write",
    source: UPGRADE,
};
pub(super) static UNREACHABLE_NEVER: Rule = Rule {
    name: "unreachable-never",
    level: Warning,
    why: "the app stays down when its agent is lost, until somebody acts",
    source: UNREACHABLE,
};
pub(super) static SHARED_FLAG: Rule = Rule {
    name: "shared-flag",
    level: Warning,
    why: "Marathon's \"shared\" only lets another app use the name; whether the volume is shared is said to hawser",
    source: UNIQUE,
};
pub(super) static VOLUME_IN_TWO_APPS: Rule = Rule {
    name: "volume-in-two-apps",
    level: Warning,
    why: "tasks of one node at a time use a volume that is not shared: the other app fails",
    source: OURS_SHARING,
};
pub(super) static SPECS_DIFFER: Rule = Rule {
    name: "specs-differ",
    level: Warning,
    why: "whoever comes first makes the volume, and where the other states something else its mount is refused",
    source: OURS_NAMES,
};
pub(super) static SANDBOX_PATH: Rule = Rule {
    name: "sandbox-path",
    level: Warning,
    why: "a container without an image sees the agent's own files: the path must exist on every agent",
    source: EXTERNAL_DOC,
};
pub(super) static PUBLISHED_DOCKER: Rule = Rule {
    name: "published-docker",
    level: Warning,
    why: "where the volume is not mounted Docker makes an empty directory in its place, and the task writes on the agent's own disk",
    source: DOCKER_BIND,
};
pub(super) static PUBLISHED_PATH: Rule = Rule {
    name: "published-path",
    level: Advice,
    why: "nothing mounts it for the task, which fails on an agent where it is not published",
    source: OURS_PUBLISHED,
};
pub(super) static SCALE_UNIQUE: Rule = Rule {
    name: "scale-unique",
    level: Advice,
    why: "tasks of one app on one node lose their volumes together, with the node",
    source: OURS_GROUPS,
};
pub(super) static UPGRADE_PLACE: Rule = Rule {
    name: "upgrade-place",
    level: Advice,
    why: "where there are no more nodes than tasks the new task has no place, and the upgrade waits for ever",
    source: UPGRADE,
};
pub(super) static UNREACHABLE_SLOW: Rule = Rule {
    name: "unreachable-slow",
    level: Advice,
    why: "so long the app is down when its agent is lost, on top of the time that Mesos takes to notice (75 s; on DC/OS 5 min)",
    source: UNREACHABLE,
};
pub(super) static NO_SIZE: Rule = Rule {
    name: "no-size",
    level: Advice,
    why: "the volume gets the size that the nodes' configuration says, today's",
    source: OURS_SPEC,
};
pub(super) static INLINE_NAME: Rule = Rule {
    name: "inline-name",
    level: Advice,
    why: "older versions of Marathon take letters, digits and `-` in a volume's name, and nothing else",
    source: CHANGELOG,
};
pub(super) static OTHER_DRIVER: Rule = Rule {
    name: "other-driver",
    level: Advice,
    why: "the volume is not hawser's: only Marathon's own rules were looked at",
    source: OURS_CONVERT,
};

/// Every rule.
pub static RULES: [&Rule; 48] = [
    &JSON_TYPE,
    &APP_ID,
    &NO_TASK,
    &CONSTRAINT,
    &DOCKER_IMAGE,
    &MESOS_PARAMETERS,
    &VOLUME_KIND,
    &VOLUME_MODE,
    &CONTAINER_PATH,
    &EXTERNAL_NAME,
    &EXTERNAL_PROVIDER,
    &EXTERNAL_SIZE,
    &DVDI_DRIVER,
    &OPTION_KEY,
    &REXRAY_OPTION,
    &DVDI_INSTANCES,
    &DVDI_READ_ONLY,
    &DVDI_DOCKER_OPTIONS,
    &DVDI_NAME_TWICE,
    &DVDI_NAME_IN_TWO_APPS,
    &UPGRADE_RANGE,
    &DVDI_UPGRADE,
    &UNREACHABLE_RANGE,
    &POD_VOLUME,
    &CSI_VOLUME,
    &SPEC,
    &PARAMETER_FORM,
    &NO_DRIVER,
    &TWO_DRIVERS,
    &SAME_PATH,
    &DVDCLI_VALUE,
    &SEVERAL_ON_ONE,
    &SCALE_TOO_SMALL,
    &SCALE_ONE,
    &UPGRADE_OVERLAP,
    &UNREACHABLE_NEVER,
    &SHARED_FLAG,
    &VOLUME_IN_TWO_APPS,
    &SPECS_DIFFER,
    &SANDBOX_PATH,
    &PUBLISHED_DOCKER,
    &PUBLISHED_PATH,
    &SCALE_UNIQUE,
    &UPGRADE_PLACE,
    &UNREACHABLE_SLOW,
    &NO_SIZE,
    &INLINE_NAME,
    &OTHER_DRIVER,
];
