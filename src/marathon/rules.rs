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

impl Rule {
    const fn error(name: &'static str, why: &'static str, source: &'static str) -> Self {
        Self { name, level: Error, why, source }
    }

    const fn warning(name: &'static str, why: &'static str, source: &'static str) -> Self {
        Self { name, level: Warning, why, source }
    }

    const fn advice(name: &'static str, why: &'static str, source: &'static str) -> Self {
        Self { name, level: Advice, why, source }
    }
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

pub(super) static JSON_TYPE: Rule =
    Rule::error("json-type", "Marathon refuses a field of another type", RAML);
pub(super) static APP_ID: Rule = Rule::error("app-id", "Marathon refuses the app", PATH_ID);
pub(super) static NO_TASK: Rule = Rule::error(
    "no-task",
    "an app has `cmd` or `args`, not both, or a container that has a command of its own",
    APP,
);
pub(super) static CONSTRAINT: Rule =
    Rule::error("constraint", "Marathon refuses the app", SCHEDULING);
pub(super) static DOCKER_IMAGE: Rule = Rule::error(
    "docker-image",
    "a container is of type DOCKER where nothing else is said, and such a one needs an image",
    APP,
);
pub(super) static MESOS_PARAMETERS: Rule = Rule::error(
    "mesos-parameters",
    "the Mesos containerizer calls no Docker: Marathon refuses its parameters, network and port mappings",
    APP,
);
pub(super) static VOLUME_KIND: Rule =
    Rule::error("volume-kind", "Marathon cannot tell which kind of volume it is", RAML);
pub(super) static VOLUME_MODE: Rule =
    Rule::error("volume-mode", "a volume of an app says RW or RO", RAML);
pub(super) static CONTAINER_PATH: Rule =
    Rule::error("container-path", "Marathon refuses the volume", DVDI);
pub(super) static EXTERNAL_NAME: Rule =
    Rule::error("external-name", "Marathon refuses the volume", DVDI);
pub(super) static EXTERNAL_PROVIDER: Rule = Rule::error(
    "external-provider",
    "Marathon knows the providers dvdi and, since 1.11, csi",
    DVDI,
);
pub(super) static EXTERNAL_SIZE: Rule =
    Rule::error("external-size", "the size is a whole number of GiB", RAML);
pub(super) static DVDI_DRIVER: Rule =
    Rule::error("dvdi-driver", "Marathon wants a driver made of a-z, 0-9 and `-`", DVDI);
pub(super) static OPTION_KEY: Rule = Rule::error("option-key", "Marathon refuses the volume", APP);
pub(super) static REXRAY_OPTION: Rule = Rule::error(
    "rexray-option",
    "of the driver `rexray` Marathon knows some options, and refuses other values of them",
    OPTIONS,
);
pub(super) static DVDI_INSTANCES: Rule = Rule::error(
    "dvdi-instances",
    "Marathon allows one instance of an app with dvdi volumes, shared or not",
    DVDI,
);
pub(super) static DVDI_READ_ONLY: Rule = Rule::error(
    "dvdi-read-only",
    "the Mesos containerizer mounts dvdi volumes for reading and writing only",
    DVDI,
);
pub(super) static DVDI_DOCKER_OPTIONS: Rule = Rule::error(
    "dvdi-docker-options",
    "the Docker containerizer hands on the volume's name and driver, and nothing else: Marathon refuses the rest",
    DVDI,
);
pub(super) static DVDI_NAME_TWICE: Rule = Rule::error(
    "dvdi-name-twice",
    "Marathon refuses two external volumes of one name in an app",
    DVDI,
);
pub(super) static DVDI_NAME_IN_TWO_APPS: Rule = Rule::error(
    "dvdi-name-in-two-apps",
    "Marathon refuses two apps with a dvdi volume of one name, unless both say \"shared\": true",
    UNIQUE,
);
pub(super) static UPGRADE_RANGE: Rule =
    Rule::error("upgrade-range", "Marathon refuses the app", SCHEDULING);
pub(super) static DVDI_UPGRADE: Rule = Rule::error(
    "dvdi-upgrade",
    "Marathon wants maximumOverCapacity 0 where there are dvdi volumes",
    SCHEDULING,
);
pub(super) static UNREACHABLE_RANGE: Rule =
    Rule::error("unreachable-range", "Marathon refuses the app", UNREACHABLE);
pub(super) static POD_VOLUME: Rule =
    Rule::error("pod-volume", "a pod has no external volumes, in no version of Marathon", RAML);
pub(super) static CSI_VOLUME: Rule = Rule::error(
    "csi-volume",
    "hawser is no CSI plugin: the agent finds none of that name, and the task fails",
    OURS_CSI,
);
pub(super) static SPEC: Rule =
    Rule::error("spec", "hawser refuses the mount, and the task fails when it starts", OURS_SPEC);
pub(super) static PARAMETER_FORM: Rule = Rule::error(
    "parameter-form",
    "Docker refuses to make the container, and the task fails when it starts",
    DOCKER,
);
pub(super) static NO_DRIVER: Rule = Rule::error(
    "no-driver",
    "without a driver Docker asks its own, which takes no `,` and no `=` in names, and no size",
    LOCAL_DRIVER,
);
pub(super) static TWO_DRIVERS: Rule = Rule::error(
    "two-drivers",
    "a container of the Docker containerizer has one driver for all of its volumes",
    MESOS_DOCKER,
);
pub(super) static SAME_PATH: Rule = Rule::error(
    "same-path",
    "Docker refuses two volumes at one path, and the task fails when it starts",
    DOCKER,
);
pub(super) static DVDCLI_VALUE: Rule = Rule::error(
    "dvdcli-value",
    "dvdcli ends a value at its second `=`, and crashes on what follows a `,`",
    DVDCLI,
);
pub(super) static SEVERAL_ON_ONE: Rule = Rule::error(
    "several-on-one",
    "tasks of one node at a time use a volume that is not shared: those on other nodes fail, and those on one node write over each other",
    OURS_SHARING,
);
pub(super) static SCALE_TOO_SMALL: Rule = Rule::error(
    "scale-too-small",
    "a task that finds no free member of the group fails when it starts",
    OURS_GROUPS,
);
pub(super) static SCALE_ONE: Rule = Rule::warning(
    "scale-one",
    "such an app has one task, and Mesos sends no id: all tasks of a node would share one member",
    OURS_GROUPS,
);
pub(super) static UPGRADE_OVERLAP: Rule = Rule::warning(
    "upgrade-overlap",
    "the new task is started beside the old one: on another node it cannot have the volume before that has ended, which Marathon waits for; on the same one both write",
    UPGRADE,
);
pub(super) static UNREACHABLE_NEVER: Rule = Rule::warning(
    "unreachable-never",
    "the app stays down when its agent is lost, until somebody acts",
    UNREACHABLE,
);
pub(super) static SHARED_FLAG: Rule = Rule::warning(
    "shared-flag",
    "Marathon's \"shared\" only lets another app use the name; whether the volume is shared is said to hawser",
    UNIQUE,
);
pub(super) static VOLUME_IN_TWO_APPS: Rule = Rule::warning(
    "volume-in-two-apps",
    "tasks of one node at a time use a volume that is not shared: the other app fails",
    OURS_SHARING,
);
pub(super) static SPECS_DIFFER: Rule = Rule::warning(
    "specs-differ",
    "whoever comes first makes the volume, and where the other states something else its mount is refused",
    OURS_NAMES,
);
pub(super) static SANDBOX_PATH: Rule = Rule::warning(
    "sandbox-path",
    "a container without an image sees the agent's own files: the path must exist on every agent",
    EXTERNAL_DOC,
);
pub(super) static PUBLISHED_DOCKER: Rule = Rule::warning(
    "published-docker",
    "where the volume is not mounted Docker makes an empty directory in its place, and the task writes on the agent's own disk",
    DOCKER_BIND,
);
pub(super) static PUBLISHED_PATH: Rule = Rule::advice(
    "published-path",
    "nothing mounts it for the task, which fails on an agent where it is not published",
    OURS_PUBLISHED,
);
pub(super) static SCALE_UNIQUE: Rule = Rule::advice(
    "scale-unique",
    "tasks of one app on one node lose their volumes together, with the node",
    OURS_GROUPS,
);
pub(super) static UPGRADE_PLACE: Rule = Rule::advice(
    "upgrade-place",
    "where there are no more nodes than tasks the new task has no place, and the upgrade waits for ever",
    UPGRADE,
);
pub(super) static UNREACHABLE_SLOW: Rule = Rule::advice(
    "unreachable-slow",
    "so long the app is down when its agent is lost, on top of the time that Mesos takes to notice (75 s; on DC/OS 5 min)",
    UNREACHABLE,
);
pub(super) static NO_SIZE: Rule = Rule::advice(
    "no-size",
    "the volume gets the size that the nodes' configuration says, today's",
    OURS_SPEC,
);
pub(super) static INLINE_NAME: Rule = Rule::advice(
    "inline-name",
    "older versions of Marathon take letters, digits and `-` in a volume's name, and nothing else",
    CHANGELOG,
);
pub(super) static OTHER_DRIVER: Rule = Rule::advice(
    "other-driver",
    "the volume is not hawser's: only Marathon's own rules were looked at",
    OURS_CONVERT,
);

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
