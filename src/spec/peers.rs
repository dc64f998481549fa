//! Other plugins' options: a translation for what means the same here, a reason for the rest.
//!
//! Their plain synonyms with the same values are `aliases` in the table of keys. Here is what
//! needs more: other values, several keys at once, or a refusal. An option is accepted only if
//! what it asks for holds: `repl=1` asks for one copy, which is what a volume is; `repl=3` is
//! refused, for a volume with one copy is not what was asked for.
//!
//! One caveat: the loopback plugin's bare `size` is bytes, ours (as Portworx's, REX-Ray's and
//! Cloudstor's) is GiB. Nothing in a spec tells which one is meant: write the unit.

use super::Key;

/// What becomes of another plugin's option.
pub(super) enum Rule {
    /// Other words for a key of ours. Words that are not listed are refused.
    Words(&'static [(&'static str, Key, &'static str)], &'static str),
    /// A boolean that sets a key of ours.
    Switch { yes: (Key, &'static str), no: (Key, &'static str) },
    /// HPE's `uid:gid`.
    Owner,
    /// Portworx's `k=v,k=v`.
    Labels,
    /// These words ask for what holds anyway; all others are refused.
    Only(&'static [&'static str], &'static str),
    /// A boolean that asks for what holds anyway if it is false; refused if it is true.
    Never(&'static str),
    /// A boolean that asks for what holds anyway if it is true; false asks for nothing.
    Always,
    /// Refused, whatever its value.
    Refuse(&'static str),
}

use Rule::{Always, Labels, Never, Only, Owner, Refuse, Switch, Words};

/// Other plugins' options, in lower case and with `_` for `-`.
pub(super) const PEERS: &[(&[&str], Rule)] = &[
    // Size and place.
    (
        &["backing"],
        Words(
            &[("relocatable", Key::Backend, "ebs"), ("shared", Key::Shared, "true")],
            "Cloudstor's local is an EBS volume too: write backend=ebs, backend=local or \
             shared=true",
        ),
    ),
    (&["sparse"], Switch { yes: (Key::Provision, "thin"), no: (Key::Provision, "thick") }),
    (
        &["provisioning", "diskformat"],
        Words(
            &[
                ("thin", Key::Provision, "thin"),
                ("full", Key::Provision, "thick"),
                ("thick", Key::Provision, "thick"),
                ("zeroedthick", Key::Provision, "thick"),
                ("eagerzeroedthick", Key::Provision, "thick"),
            ],
            "write provision=thick or provision=thin",
        ),
    ),
    (&["fsowner"], Owner),
    (&["labels", "label"], Labels),
    // Copies and placement of copies.
    (
        &["repl", "replicas"],
        Only(&["1"], "a volume has one copy; hawser does not replicate: write repl=1 or remove it"),
    ),
    (
        &["nodes", "zones", "racks", "rack", "regions", "region", "group", "fg"],
        Refuse("it places replicas, which hawser does not have; an EBS volume is placed by zone="),
    ),
    (
        &["best_effort_location_provisioning"],
        Never("it places replicas, which hawser does not have: remove it"),
    ),
    (
        &["aggregation_level"],
        Only(&["1", "auto"], "a volume is not striped over several nodes: remove it"),
    ),
    // Speed.
    (
        &["io_priority", "priority_io", "cos", "iopriority"],
        Only(
            &["low", "1"],
            "there are no device classes to choose from: remove it, or choose an EBS volume by \
             type= and iops=",
        ),
    ),
    (
        &["io_profile"],
        Only(&["auto", "none"], "there are no I/O profiles: remove it, or use mount_options="),
    ),
    (
        &["io_throttle_rd_iops", "io_throttle_wr_iops", "io_throttle_rd_bw", "io_throttle_wr_bw"],
        Only(&["0"], "hawser does not throttle: use the container's own limits (blkio, io.max)"),
    ),
    (
        &["perfmode"],
        Refuse("it is a setting of an EFS file system, which hawser does not create: remove it"),
    ),
    (&["queue_depth"], Refuse("the kernel chooses the queue's depth: remove it")),
    (
        &["bs", "block_size", "blocksize"],
        Refuse(
            "the block device has no block size to choose; the file system's is \
                mkfs_options=-b;4096 (ext4) or -b;size=4096 (xfs)",
        ),
    ),
    (
        &[
            "readahead",
            "fastpath",
            "nearsync",
            "async_io",
            "early_ack",
            "cow_ondemand",
            "dedupe",
            "compressed",
            "compression",
            "flash_cache",
        ],
        Never("hawser has nothing of the kind: remove it"),
    ),
    (&["direct_io"], Always),
    (
        &["journal"],
        Never("there is no separate journal device; the file system's own journal is always on"),
    ),
    (&["nodiscard"], Never("write mount_options=nodiscard")),
    (&["auto_fstrim"], Never("write mount_options=discard")),
    // Sharing.
    (
        &[
            "sharedv4_mount_options",
            "sharedv4_svc_type",
            "sharedv4_svc_name",
            "sharedv4_failover_strategy",
            "sharedv4_external_access",
            "export_options",
            "winshare",
        ],
        Refuse("hawser decides itself how a shared volume reaches other nodes: remove it"),
    ),
    (
        &["ro", "readonly", "read_only"],
        Never(
            "options are the volume's, and each task says for itself whether it only reads: \
             Docker's `:ro`, or \"mode\": \"RO\" in Marathon",
        ),
    ),
    (
        &["access"],
        Only(
            &["read-write", "rw"],
            "options are the volume's, and each task says for itself whether it only reads: \
             Docker's `:ro`, or \"mode\": \"RO\" in Marathon",
        ),
    ),
    (&["ephemeral"], Never("a volume lives until it is removed: remove the option")),
    // Encryption and secrets. Their values are never shown.
    (
        &["secure"],
        Never("hawser does not encrypt by itself yet; an EBS volume does, by encrypted=true"),
    ),
    (
        &["passphrase", "secret_key", "secret_name", "secret"],
        Refuse(
            "hawser does not encrypt by itself yet, and a secret does not belong in a volume's \
                name or options, where everyone reads it; an EBS volume encrypts by encrypted=true",
        ),
    ),
    (
        &["token", "token_secret", "password", "accesskey", "secretkey", "username"],
        Refuse(
            "a credential does not belong in a volume's name or options, where everyone reads \
                it: it goes into the daemon's configuration",
        ),
    ),
    // Snapshots, clones, backups, existing volumes.
    (&["snap_interval"], Only(&["0"], "snapshots are not made on a schedule yet: remove it")),
    (
        &[
            "snap_schedule",
            "schedulefrequency",
            "schedulename",
            "snapshotprefix",
            "retentionhours",
            "expirationhours",
            "snapshotschedule",
        ],
        Refuse("snapshots are not made on a schedule yet: remove it"),
    ),
    (
        &["parent", "cloneof", "virtualcopyof", "clone_from"],
        Refuse(
            "volumes are not cloned yet: remove it, or make an EBS volume from a snapshot by \
                snapshot=snap-…",
        ),
    ),
    (&["snapshotname"], Refuse("names of snapshots are not unique: write the id, snapshot=snap-…")),
    (
        &["backup"],
        Refuse("volumes are not restored from backups yet; an EBS snapshot is snapshot=snap-…"),
    ),
    (
        &["volumename", "volumeid", "id", "importvol", "vm"],
        Refuse(
            "it adopts a volume that exists: an operator does that once, by `hawser volume import`",
        ),
    ),
    (
        &["overwritefs"],
        Never(
            "hawser formats only a device that is proven blank; remove it, and wipe the device \
               if its data can go",
        ),
    ),
    (&["force_unsupported_fs_type"], Never("only ext4 and xfs are supported: remove it")),
    (&["createoptions"], Refuse("write mkfs_options=")),
    (&["cascaded"], Never("there is nothing of the kind: remove it")),
    // Other kinds of storage.
    (
        &["storagepolicy", "vsan_policy_name", "qos_name", "cpg", "snapcpg", "hostname", "profile"],
        Refuse("hawser has no policies: state what the volume needs"),
    ),
    (
        &[
            "proxy_write",
            "proxy_endpoint",
            "proxy_nfs_subpath",
            "proxy_nfs_exportpath",
            "proxy_s3_bucket",
            "server",
            "nfs_server",
            "nfsserver",
            "share",
            "src",
            "addr",
            "address",
            "remotepath",
        ],
        Refuse(
            "apps do not choose servers, operators do, who give each a name in the daemon's \
             configuration: [backends.nfs.NAME] server = \"HOST:/PATH\". Write export=NAME, and \
             path= for the directory there; CIFS and S3 are not served",
        ),
    ),
    (
        &["nfsvers", "vers", "hardmount", "proto"],
        Refuse(
            "all mounts of an export have it in common: the operator chooses it, in the daemon's \
             configuration ([backends.nfs])",
        ),
    ),
    (
        &["nfsopts", "nfsoptions"],
        Refuse(
            "write mount_options=, for what concerns this volume alone; the rest is the \
             operator's, in the daemon's configuration ([backends.nfs])",
        ),
    ),
    (&["create"], Always),
    (
        &["purgeafterdelete"],
        Switch { yes: (Key::OnRemove, "delete"), no: (Key::OnRemove, "retain") },
    ),
    (&["allowmultiplemount"], Switch { yes: (Key::Shared, "true"), no: (Key::Shared, "false") }),
    (&["cifsopts", "cifs"], Refuse("CIFS is not served: use backend=nfs or shared=true")),
    (
        &["o", "device"],
        Refuse(
            "it is how Docker's local driver mounts something: use that driver for it. An NFS \
             server is named in the daemon's configuration, [backends.nfs.NAME] server = \
             \"HOST:/PATH\", and a volume there is export=NAME with path=",
        ),
    ),
    (
        &["mountpoint", "bind"],
        Refuse("it asks for a directory of the host: use a bind mount, without a plugin"),
    ),
    (
        &["sshcmd", "identityfile", "port"],
        Refuse("volumes over ssh are not served: use backend=nfs or shared=true"),
    ),
    (&["endpoint"], Refuse("the cloud's endpoint is in the daemon's configuration: remove it")),
    (
        &["mountconflictdelay"],
        Refuse(
            "a volume that is held elsewhere is waited for until the deadline, and preempt= says \
             whether it is taken from a node that does not answer: remove it",
        ),
    ),
    (&["sync"], Refuse("write mount_options=sync")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::key::KEYS;

    #[test]
    fn no_option_has_two_rules() {
        let ours = KEYS.iter().flat_map(|row| row.aliases.iter().chain([&row.name]).copied());
        let mut names: BTreeSet<&str> = ours.collect();
        for name in PEERS.iter().flat_map(|(names, _)| *names) {
            assert!(names.insert(name), "{name}");
            assert_eq!(*name, name.to_lowercase().replace('-', "_"));
        }
    }

    #[test]
    fn translations_are_values_of_our_keys() {
        for (names, rule) in PEERS {
            let pairs: Vec<_> = match rule {
                Words(words, _) => words.iter().map(|(_, key, value)| (*key, *value)).collect(),
                Switch { yes, no } => vec![*yes, *no],
                Owner | Labels | Only(..) | Never(_) | Always | Refuse(_) => continue,
            };
            for (key, value) in pairs {
                assert!((key.row().parse)(value).is_ok(), "{names:?}: {value}");
            }
        }
    }
}
