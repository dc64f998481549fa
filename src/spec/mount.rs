//! Mount options: an allow-list per file system, and one for directories of NFS servers.
//!
//! Written `mount_options=noatime;commit=30`. `;` separates, since `,` ends an element of an
//! inline spec (in `-o` values `,` works too). Between an option and its value `=`, `:` or `.`:
//! `=` passes in a name and in `-o`; Portworx's `:` only in `-o`, for docker splits names on it;
//! `.` passes everywhere, dvdcli's options too, which carry neither `=` nor `,`. They are kept
//! as `mount -o` takes them: `commit=30`.
//!
//! It is an allow-list because an option can break what the daemon promises: `ro`, `loop` or
//! `bind` change what is mounted, `nobarrier` and `data=writeback` what survives a crash,
//! `errors=panic` takes the host down. Of NFS's options an app has those that concern itself alone:
//! how long attributes are believed, how much is read at once. What all mounts of an export have in
//! common (version, transport, security, retries, locks) is the operator's.

use std::collections::BTreeSet;

use super::{
    FsType,
    error::{Shown, Why},
    nfs,
};

/// What an option takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    /// A decimal number.
    Number,
    /// A number with an optional unit of the kernel's: k, m, g.
    Size,
    /// Bytes of one read or write of NFS.
    Transfer,
    Words(&'static [&'static str]),
}

/// Which mounts know an option.
#[derive(Clone, Copy, PartialEq)]
enum On {
    All,
    /// ext4 and xfs.
    Both,
    Ext4,
    Xfs,
    Nfs,
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mounted {
    /// A device with that file system; `None` where only the mount itself will tell.
    Device(Option<FsType>),
    /// A directory of an NFS server.
    Directory,
}

use On::{All, Both, Ext4, Nfs, Xfs};
use Takes::{Nothing, Number, Size, Transfer, Words};

const ALLOWED: &[(&str, Takes, On)] = &[
    ("acdirmax", Number, Nfs),
    ("acdirmin", Number, Nfs),
    ("acl", Nothing, Ext4),
    ("acregmax", Number, Nfs),
    ("acregmin", Number, Nfs),
    ("actimeo", Number, Nfs),
    ("allocsize", Size, Xfs),
    ("auto_da_alloc", Nothing, Ext4),
    ("commit", Number, Ext4),
    ("data", Words(&["ordered", "journal"]), Ext4),
    ("delalloc", Nothing, Ext4),
    ("dioread_lock", Nothing, Ext4),
    ("dioread_nolock", Nothing, Ext4),
    ("dirsync", Nothing, Both),
    ("discard", Nothing, Both),
    ("errors", Words(&["remount-ro"]), Ext4),
    ("filestreams", Nothing, Xfs),
    ("init_itable", Number, Ext4),
    ("inode64", Nothing, Xfs),
    ("inode_readahead_blks", Number, Ext4),
    ("journal_checksum", Nothing, Ext4),
    ("journal_ioprio", Words(&["0", "1", "2", "3", "4", "5", "6", "7"]), Ext4),
    ("largeio", Nothing, Xfs),
    ("lazytime", Nothing, Both),
    ("logbsize", Size, Xfs),
    ("logbufs", Words(&["2", "3", "4", "5", "6", "7", "8"]), Xfs),
    ("lookupcache", Words(&["all", "none", "pos", "positive"]), Nfs),
    ("max_batch_time", Number, Ext4),
    ("min_batch_time", Number, Ext4),
    ("noac", Nothing, Nfs),
    ("noacl", Nothing, Ext4),
    ("noalign", Nothing, Xfs),
    ("noatime", Nothing, All),
    ("nodelalloc", Nothing, Ext4),
    ("nodev", Nothing, All),
    ("nodiratime", Nothing, All),
    ("nodiscard", Nothing, Both),
    ("noexec", Nothing, All),
    ("noinit_itable", Nothing, Ext4),
    ("nolargeio", Nothing, Xfs),
    ("nolazytime", Nothing, Both),
    ("nordirplus", Nothing, Nfs),
    ("nosuid", Nothing, All),
    ("rdirplus", Nothing, Nfs),
    ("relatime", Nothing, All),
    (READ_ONLY, Nothing, Nfs),
    ("rsize", Transfer, Nfs),
    ("strictatime", Nothing, Both),
    ("stripe", Number, Ext4),
    ("sunit", Number, Xfs),
    ("swalloc", Nothing, Xfs),
    ("swidth", Number, Xfs),
    ("sync", Nothing, All),
    ("wsize", Transfer, Nfs),
    ("wsync", Nothing, Xfs),
];

/// Of a device it would also keep its own journal from being replayed.
pub(super) const READ_ONLY: &str = "ro";

const WHERE_USED: &str =
    "say it where the volume is used: Docker's `:ro`, or \"mode\": \"RO\" in Marathon";

/// Options that people try, with a reason of their own.
const REFUSED: &[(&[&str], &str)] = &[
    (&["rw"], WHERE_USED),
    (
        &["bind", "loop", "move", "offset", "rbind", "remount", "sizelimit"],
        "it changes what is mounted, which only hawser decides",
    ),
    (
        &[
            "barrier",
            "journal_async_commit",
            "nobarrier",
            "noload",
            "norecovery",
            "noauto_da_alloc",
            "soft",
            "softerr",
        ],
        "it gives up data that was reported as written",
    ),
    (
        &[
            "addr",
            "bg",
            "clientaddr",
            "fg",
            "fsc",
            "hard",
            "local_lock",
            "lock",
            "max_connect",
            "minorversion",
            "mountaddr",
            "mountport",
            "mountproto",
            "mountvers",
            "nconnect",
            "nfsvers",
            "nolock",
            "noresvport",
            "port",
            "proto",
            "resvport",
            "retrans",
            "retry",
            "sec",
            "tcp",
            "timeo",
            "udp",
            "vers",
            "xprtsec",
        ],
        "all mounts of an export have it in common: the operator chooses it, in the daemon's \
         configuration",
    ),
    (&["nocto"], "a task would read old data after a task on another node has written"),
    (
        &["journal_dev", "journal_path", "logdev", "rtdev"],
        "it names another device, which hawser does not manage",
    ),
    (&["nouuid"], "it would hide that the same file system is mounted twice"),
    (&["context", "defcontext", "fscontext", "rootcontext"], "SELinux labels are set by Docker"),
];

/// Reads a list of options that at least one file system takes.
pub(super) fn parse(text: &str) -> Result<Vec<String>, Why> {
    let mut options = Vec::new();
    let mut seen = BTreeSet::new();
    for item in text.split([';', ',']).map(str::trim) {
        if item.is_empty() {
            return Err("an option is empty: separate options with one `;`".into());
        }
        let (name, value) = match item.split_once(['=', ':', '.']) {
            Some((name, value)) => (name, Some(value)),
            None => (item, None),
        };
        let option = allowed(name, value)?;
        let opposite = name.strip_prefix("no").map_or_else(|| format!("no{name}"), str::to_owned);
        if !seen.insert(name.to_owned()) {
            return Err(format!("`{name}` is given twice: give it once").into());
        }
        if seen.contains(&opposite) {
            return Err(format!("`{name}` and `{opposite}` contradict each other").into());
        }
        options.push(option);
    }
    Ok(options)
}

/// The option as `mount -o` takes it, if some file system may have it.
fn allowed(name: &str, value: Option<&str>) -> Result<String, Why> {
    if let Some((_, why)) = REFUSED.iter().find(|(names, _)| names.contains(&name)) {
        return Err(format!("`{name}` is refused: {why}").into());
    }
    let Some((_, takes, _)) = find(name) else {
        let shown = Shown::new(name);
        return Err(format!(
            "`{shown}` is not among the mount options that hawser allows: {}",
            all()
        )
        .into());
    };
    match (takes, value) {
        (Nothing, None) => Ok(name.to_owned()),
        (Nothing, Some(_)) => Err(format!("`{name}` takes no value").into()),
        (Number | Size | Transfer | Words(_), None) => {
            Err(format!("`{name}` takes a value: {name}=…").into())
        }
        (Number, Some(value)) if is_number(value) => Ok(format!("{name}={value}")),
        (Size, Some(value)) if is_number(value.trim_end_matches(['k', 'm', 'g'])) => {
            Ok(format!("{name}={value}"))
        }
        (Transfer, Some(value)) => match nfs::transfer_size(value) {
            Ok(bytes) => Ok(format!("{name}={bytes}")),
            Err(why) => Err(format!("`{name}`: {why}").into()),
        },
        (Words(words), Some(value)) if words.contains(&value) => Ok(format!("{name}={value}")),
        (Number | Size, Some(_)) => Err(format!("`{name}` takes a number").into()),
        (Words(words), Some(_)) => Err(format!("`{name}` takes {}", words.join(" or ")).into()),
    }
}

/// Whether what is mounted knows every one of `options`.
pub(super) fn check_for(mounted: Mounted, options: &[String]) -> Result<(), Why> {
    for option in options {
        let name = option.split('=').next().unwrap_or_default();
        if find(name).is_none_or(|(_, _, on)| mounted.has(on)) {
            continue;
        }
        if name == READ_ONLY {
            return Err(not_read_only());
        }
        return Err(format!("`{name}` is not an option of {}: remove it", mounted.word()).into());
    }
    Ok(())
}

/// Why a volume is not mounted read-only for all of its tasks.
pub(super) fn not_read_only() -> Why {
    format!(
        "`{READ_ONLY}` is refused: {WHERE_USED} (a directory on an NFS server can have it for all \
         of its tasks, with backend=nfs written, too)"
    )
    .into()
}

impl Mounted {
    fn has(self, option: On) -> bool {
        match (option, self) {
            (All, _) | (Nfs, Self::Directory) => true,
            (Both | Ext4 | Xfs, Self::Directory) | (Nfs, Self::Device(_)) => false,
            (Both, Self::Device(_)) | (Ext4 | Xfs, Self::Device(None)) => true,
            (Ext4, Self::Device(Some(fs))) => fs == FsType::Ext4,
            (Xfs, Self::Device(Some(fs))) => fs == FsType::Xfs,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Device(Some(fs)) => fs.as_str(),
            Self::Device(None) => "ext4 or xfs",
            Self::Directory => "NFS",
        }
    }
}

fn find(name: &str) -> Option<(&'static str, Takes, On)> {
    ALLOWED.iter().copied().find(|(known, _, _)| *known == name)
}

fn all() -> String {
    ALLOWED.iter().map(|(name, _, _)| *name).collect::<Vec<_>>().join(", ")
}

pub(super) fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
