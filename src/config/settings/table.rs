//! The rows: all but those of a cluster and of the NFS backend.

use super::{Setting, setting};

pub(super) const TABLE: &[Setting] = &[
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
        "daemon.rexray_socket",
        "HAWSER_REXRAY_SOCKET",
        "",
        "A second socket for Docker and dvdcli, on which hawser is the driver `rexray`: /run/docker/plugins/rexray.sock, once REX-Ray is off. The daemon does not start while REX-Ray answers there. Empty: none.",
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
        "What is logged: error, warn, info, debug, trace, off, or a filter such as `warn,hawser::engine=debug`.",
    )
    .aliases(&["REXRAY_LOGLEVEL"]),
    setting("daemon.log_format", "HAWSER_LOG_FORMAT", "text", "text or json."),
    setting(
        "daemon.cluster",
        "HAWSER_CLUSTER",
        "",
        "The cluster's name: the tag of everything hawser makes in a cloud and the mark of every directory on an NFS server; needed by the ebs and nfs backends. The same on every node, and never changed: only what carries it is seen.",
    ),
    setting(
        "daemon.node",
        "HAWSER_NODE",
        "",
        "This node's name, another one on every node and the same after a reboot: it is in the marks of the directories on NFS servers that this node uses. Empty: the host's name.",
    ),
    setting(
        "volumes.default_backend",
        "HAWSER_DEFAULT_BACKEND",
        "local",
        "The backend of volumes that do not name one: local, ebs or nfs.",
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
    )
    .aliases(&["REXRAY_FSTYPE"]),
    setting(
        "volumes.shared_fs",
        "HAWSER_SHARED_FS",
        "xfs",
        "The same of block volumes with shared=true. With ext4 a power loss may take a change of a file's length, mode or owner that tasks elsewhere were told is done.",
    ),
    setting(
        "volumes.publish",
        "HAWSER_PUBLISH",
        "",
        "Volumes that stay mounted on this node, for tasks that take a path of the host: names or inline specs with spaces between them, such as `name=assets,size=10GiB,shared=true site`. An inline spec is made where there is no such volume. `hawser volume published` says where each is.",
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
    setting(
        "backends.ebs.enabled",
        "HAWSER_EBS_ENABLED",
        "false",
        "Serve volumes on Amazon EBS. Needs daemon.cluster, and an instance role or other credentials that EC2 accepts.",
    ),
    setting(
        "backends.ebs.region",
        "HAWSER_EBS_REGION",
        "",
        "The region. Empty: AWS's own settings (AWS_REGION, a profile), or the instance's metadata.",
    )
    .aliases(&["EBS_REGION"]),
    setting(
        "backends.ebs.endpoint",
        "HAWSER_EBS_ENDPOINT",
        "",
        "The URL of EC2's API, if it is not the region's own: a VPC endpoint, say.",
    )
    .aliases(&["EBS_ENDPOINT"]),
    setting(
        "backends.ebs.zone",
        "HAWSER_EBS_ZONE",
        "",
        "This node's availability zone. Empty: the instance's metadata.",
    ),
    setting(
        "backends.ebs.instance_id",
        "HAWSER_EBS_INSTANCE_ID",
        "",
        "This node's instance id. Empty: the instance's metadata.",
    ),
    setting(
        "backends.ebs.access_key",
        "HAWSER_EBS_ACCESS_KEY",
        "",
        "An access key. Better an instance role, which needs neither this nor a secret key: empty, AWS's own chain of credentials is used.",
    )
    .aliases(&["EBS_ACCESSKEY"])
    .secret(),
    setting(
        "backends.ebs.secret_key",
        "HAWSER_EBS_SECRET_KEY",
        "",
        "The secret key of that access key. Never shown.",
    )
    .aliases(&["EBS_SECRETKEY"])
    .secret(),
    setting(
        "backends.ebs.type",
        "HAWSER_EBS_TYPE",
        "gp3",
        "The type of volumes that do not state one: gp3, gp2, st1, sc1 or standard (io1 and io2 need iops, so a volume states them itself).",
    ),
    setting(
        "backends.ebs.encrypted",
        "HAWSER_EBS_ENCRYPTED",
        "account",
        "Whether volumes that do not say it are encrypted: true, false, or account (as the account's default is).",
    ),
    setting(
        "backends.ebs.kms_key",
        "HAWSER_EBS_KMS_KEY",
        "",
        "The KMS key of volumes that do not state one, which are encrypted then. Empty: the account's.",
    )
    .aliases(&["EBS_KMSKEYID"]),
    setting(
        "backends.ebs.tags",
        "HAWSER_EBS_TAGS",
        "",
        "Tags for every volume and snapshot that is made: KEY=VALUE,KEY=VALUE.",
    ),
    setting(
        "backends.ebs.attach",
        "HAWSER_EBS_ATTACH",
        "stay",
        "Volumes that do not say it: stay attached until the slot is needed, or follow the task and be detached after the linger.",
    ),
    setting(
        "backends.ebs.attach_limit",
        "HAWSER_EBS_ATTACH_LIMIT",
        "auto",
        "How many volumes are attached to this node at most; auto is what the instance type takes.",
    ),
    setting(
        "backends.ebs.attach_timeout",
        "HAWSER_EBS_ATTACH_TIMEOUT",
        "90s",
        "An attachment that takes longer is given up, and made again under another device name.",
    ),
    setting(
        "backends.ebs.force_detach_after",
        "HAWSER_EBS_FORCE_DETACH_AFTER",
        "5m",
        "A detachment of a cleanly unmounted volume that takes longer is forced.",
    ),
    setting(
        "backends.ebs.dev_dir",
        "HAWSER_EBS_DEV_DIR",
        "/dev",
        "Where the host's devices are.",
    ),
    setting(
        "backends.ebs.sys_dir",
        "HAWSER_EBS_SYS_DIR",
        "/sys",
        "Where the host's sysfs is.",
    ),
];
