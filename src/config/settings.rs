//! Every setting, once: its key, its environment variable, its default, and what it means. The
//! configuration reference and the sample file are made from this table.

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.name` in the file, and with `--set`.
    pub key: &'static str,
    /// The environment variable that sets it.
    pub env: &'static str,
    /// Its value where nobody sets it.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn setting(
    key: &'static str,
    env: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { key, env, default, meaning }
}

/// The table.
pub const SETTINGS: &[Setting] = &[
    setting(
        "daemon.state_dir",
        "HAWSER_STATE_DIR",
        "/var/lib/hawser",
        "Where the records are kept. On a disk that survives a reboot.",
    ),
    setting(
        "daemon.root",
        "HAWSER_ROOT",
        "mnt",
        "Where volumes are mounted: ROOT/volumes/NAME is what tasks get. Made a mount of its own, with shared propagation. A relative path is below state_dir.",
    ),
    setting(
        "daemon.root_tmpfs",
        "HAWSER_ROOT_TMPFS",
        "false",
        "Make ROOT a small tmpfs instead of a bind of itself. The managed plugin needs it, so that `docker plugin rm` can delete the directory.",
    ),
    setting(
        "daemon.docker_socket",
        "HAWSER_DOCKER_SOCKET",
        "/run/docker/plugins/hawser.sock",
        "The socket for Docker and dvdcli. Its file name is the driver's name.",
    ),
    setting(
        "daemon.admin_socket",
        "HAWSER_ADMIN_SOCKET",
        "/run/hawser/admin.sock",
        "The socket for the `hawser` commands.",
    ),
    setting(
        "daemon.log",
        "HAWSER_LOG",
        "info",
        "What is logged: error, warn, info, debug, trace, or a filter such as `warn,hawser::engine=debug`.",
    ),
    setting("daemon.log_format", "HAWSER_LOG_FORMAT", "text", "text or json."),
    setting(
        "volumes.default_backend",
        "HAWSER_DEFAULT_BACKEND",
        "local",
        "The backend of volumes that do not name one.",
    ),
    setting(
        "volumes.default_size",
        "HAWSER_DEFAULT_SIZE",
        "10GiB",
        "The size of volumes that do not state one (binary units; a bare number is GiB).",
    ),
    setting(
        "volumes.anonymous_size",
        "HAWSER_ANONYMOUS_SIZE",
        "10GiB",
        "The size of Docker's anonymous volumes (names of 64 hexadecimal digits).",
    ),
    setting(
        "volumes.default_fs",
        "HAWSER_DEFAULT_FS",
        "ext4",
        "The file system of volumes that do not state one: ext4 or xfs.",
    ),
    setting(
        "volumes.linger",
        "HAWSER_LINGER",
        "5s",
        "How long a volume stays mounted after its last task, so that restarts and Docker's copy-up do not unmount and mount it again.",
    ),
    setting(
        "volumes.orphan_after",
        "HAWSER_ORPHAN_AFTER",
        "5m",
        "A holder whose Docker engine is gone, and whose volume no container has mounted, is dropped after this time.",
    ),
    setting(
        "volumes.undelete",
        "HAWSER_UNDELETE",
        "24h",
        "How long a removed volume's data is kept for `hawser volume undelete`. 0s deletes at once.",
    ),
    setting(
        "volumes.undelete_anonymous",
        "HAWSER_UNDELETE_ANONYMOUS",
        "0s",
        "The same for Docker's anonymous volumes, which `docker run --rm` removes by itself.",
    ),
    setting(
        "volumes.sweep",
        "HAWSER_SWEEP",
        "10s",
        "How often mounted file systems and forgotten holders are looked at.",
    ),
    setting(
        "backends.local.dir",
        "HAWSER_LOCAL_DIR",
        "images",
        "The directory of the volumes' image files. A relative path is below daemon.state_dir.",
    ),
    setting(
        "backends.local.provision",
        "HAWSER_LOCAL_PROVISION",
        "thick",
        "thick takes a volume's space when it is created; thin takes it as it is written.",
    ),
    setting(
        "backends.local.overcommit",
        "HAWSER_LOCAL_OVERCOMMIT",
        "1.0",
        "How much thin volumes may still claim, as a multiple of the free space above the margin.",
    ),
    setting(
        "backends.local.margin",
        "HAWSER_LOCAL_MARGIN",
        "256MiB",
        "Free space in that directory's file system that is never given to a volume.",
    ),
];

/// The setting with that key.
#[must_use]
pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The sample configuration file: every setting, commented out, with its default.
#[must_use]
pub fn sample_file() -> String {
    let mut text = String::from(
        "# hawser.toml: every setting, with its default. Each can also be given by the environment\n\
         # variable named beside it, or as `hawser serve --set KEY=VALUE`, which wins.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (this, name) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if this != section {
            section = this;
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push_str(&format!("\n# {}\n# ({})\n", setting.meaning, setting.env));
        text.push_str(&format!("#{name} = \"{}\"\n", setting.default));
    }
    text
}

/// The reference for the documentation, as a Markdown table.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("| key | environment | default | meaning |\n|---|---|---|---|\n");
    for Setting { key, env, default, meaning } in SETTINGS {
        text.push_str(&format!("| `{key}` | `{env}` | `{default}` | {meaning} |\n"));
    }
    text
}
