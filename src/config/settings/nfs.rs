//! The rows of the NFS backend.

use super::{Setting, setting};

pub(super) const TABLE: &[Setting] = &[
    setting(
        "backends.nfs.server",
        "HAWSER_NFS_SERVER",
        "",
        "The server and the directory that it exports: HOST:/PATH, [2001:db8::1]:/PATH, or an EFS file system, fs-0123456789abcdef0 or fs-0123456789abcdef0:/PATH. Not for all exports: here it makes an export with the name `default`.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.region",
        "HAWSER_NFS_REGION",
        "",
        "The region of an EFS file system. Empty: backends.ebs.region, or AWS_REGION.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.zone",
        "HAWSER_NFS_ZONE",
        "",
        "The availability zone of this node: an EFS file system is then mounted by its mount target there, by name. Empty: backends.ebs.zone, or the name that AWS resolves in each zone by itself.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.versions",
        "HAWSER_NFS_VERSIONS",
        "auto",
        "The versions of NFS to mount with, in order of trial, out of 4.2, 4.1, 4.0 and 3. auto is 4.2,4.1,4.0,3, and 4.1 for EFS.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.port",
        "HAWSER_NFS_PORT",
        "auto",
        "The server's port. auto asks its portmapper for version 3, and is 2049 for version 4.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.mount_port",
        "HAWSER_NFS_MOUNT_PORT",
        "auto",
        "The port of the server's MOUNT service, which version 3 needs. auto asks its portmapper.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.portmapper_port",
        "HAWSER_NFS_PORTMAPPER_PORT",
        "111",
        "The port of the server's portmapper.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.control",
        "HAWSER_NFS_CONTROL",
        "auto",
        "How hawser itself makes, measures and deletes directories: v3 (by NFSv3, without a mount), or mount (through a mount of the kernel's, for servers without NFSv3). auto is mount for EFS, v3 for all others.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.privileged_port",
        "HAWSER_NFS_PRIVILEGED_PORT",
        "true",
        "Whether hawser's own connections come from a port below 1024, as most servers want it (exports without `insecure`).",
    )
    .each_by_name(),
    setting(
        "backends.nfs.uid",
        "HAWSER_NFS_UID",
        "0",
        "Whom the server sees when hawser makes, owns and deletes directories. The server must not squash it to somebody else (no_root_squash), or it must own the export's directory.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.gid",
        "HAWSER_NFS_GID",
        "0",
        "The group of that user.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.locks",
        "HAWSER_NFS_LOCKS",
        "refuse",
        "Locks of files with version 3: refuse a mount where the server's lock manager does not answer, or local (each node has its own, and tasks on two nodes do not exclude each other). Version 4 has locks of its own.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.timeo",
        "HAWSER_NFS_TIMEO",
        "60s",
        "How long a request waits for its answer before it is sent again. Mounts are hard: they wait for ever. 60s is the kernel's own over TCP, and what AWS recommends for EFS.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.retrans",
        "HAWSER_NFS_RETRANS",
        "2",
        "How often a request is sent again before the kernel logs that the server does not respond.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.nconnect",
        "HAWSER_NFS_NCONNECT",
        "auto",
        "TCP connections for each server, 1 to 16. auto leaves it to the kernel, which has one.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.rsize",
        "HAWSER_NFS_RSIZE",
        "auto",
        "The largest read in bytes, a multiple of 1024 up to 1048576. auto leaves it to kernel and server; 1048576 for EFS.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.wsize",
        "HAWSER_NFS_WSIZE",
        "auto",
        "The largest write in bytes. auto leaves it to kernel and server; 1048576 for EFS.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.noresvport",
        "HAWSER_NFS_NORESVPORT",
        "auto",
        "Whether the kernel connects from a new port, of 1024 or more, each time: true or false. auto is true for EFS, as AWS recommends, and false for all others.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.options",
        "HAWSER_NFS_OPTIONS",
        "",
        "More mount options for every volume, with commas between them, as mount(8) takes them: fsc,sec=sys.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.over_limit",
        "HAWSER_NFS_OVER_LIMIT",
        "warn",
        "What becomes of a new mount of a volume that uses more than its size: warn in the log and in inspect, or refuse. Tasks that have it mounted go on.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.measure_every",
        "HAWSER_NFS_MEASURE_EVERY",
        "1h",
        "How often what a volume uses is measured. 0s turns it off.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.measure_rate",
        "HAWSER_NFS_MEASURE_RATE",
        "500",
        "How many calls a second measuring makes to the server at most.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.margin",
        "HAWSER_NFS_MARGIN",
        "256MiB",
        "Free space of the export that is never promised to a volume.",
    )
    .each_by_name(),
    setting(
        "backends.nfs.default_export",
        "HAWSER_NFS_DEFAULT_EXPORT",
        "",
        "The export of volumes that do not name one. Empty: the export with the name `default`, or the only one.",
    ),
    setting(
        "backends.nfs.secret",
        "HAWSER_NFS_SECRET",
        "",
        "The key that signs each volume's mark on the server, the same on every node. Empty: the cluster's name, which keeps mistakes out and not people.",
    )
    .secret(),
];

/// How an export gets a name, for the sample file.
pub(super) const SAMPLE: &str = "
# An export with a name of its own, for `export=fast`: what stands above, but default_export and secret,
# can stand here too and is for this export alone. There can be any number of them.
#
# [backends.nfs.fast]
# server = \"filer:/export/apps\"
";
