//! Mount options: an allow-list per file system.
//!
//! Written `mount_options=noatime;commit=30`. `;` separates, since `,` ends an element of an
//! inline spec (in `-o` values `,` works too). Between an option and its value `=`, `:` or `.`:
//! `=` passes in a name and in `-o`; Portworx's `:` only in `-o`, for docker splits names on it;
//! `.` passes everywhere, dvdcli's options too, which carry neither `=` nor `,`. They are kept
//! as `mount -o` takes them: `commit=30`.
//!
//! It is an allow-list because an option can break what the daemon promises: `ro`, `loop` or
//! `bind` change what is mounted, `nobarrier` and `data=writeback` what survives a crash,
//! `errors=panic` takes the host down.

use std::collections::BTreeSet;

use super::{
    FsType,
    error::{Shown, Why},
};

/// What an option takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    /// A decimal number.
    Number,
    /// A number with an optional unit of the kernel's: k, m, g.
    Size,
    Words(&'static [&'static str]),
}

/// Which file systems know an option.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Both,
    Ext4,
    Xfs,
}

use On::{Both, Ext4, Xfs};
use Takes::{Nothing, Number, Size, Words};

const ALLOWED: &[(&str, Takes, On)] = &[
    ("acl", Nothing, Ext4),
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
    ("max_batch_time", Number, Ext4),
    ("min_batch_time", Number, Ext4),
    ("noacl", Nothing, Ext4),
    ("noalign", Nothing, Xfs),
    ("noatime", Nothing, Both),
    ("nodelalloc", Nothing, Ext4),
    ("nodev", Nothing, Both),
    ("nodiratime", Nothing, Both),
    ("nodiscard", Nothing, Both),
    ("noexec", Nothing, Both),
    ("noinit_itable", Nothing, Ext4),
    ("nolargeio", Nothing, Xfs),
    ("nolazytime", Nothing, Both),
    ("nosuid", Nothing, Both),
    ("relatime", Nothing, Both),
    ("strictatime", Nothing, Both),
    ("stripe", Number, Ext4),
    ("sunit", Number, Xfs),
    ("swalloc", Nothing, Xfs),
    ("swidth", Number, Xfs),
    ("sync", Nothing, Both),
    ("wsync", Nothing, Xfs),
];

/// Options that people try, with a reason of their own.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["ro", "rw"],
        "say it where the volume is used: Docker's `:ro`, or \"mode\": \"RO\" in Marathon",
    ),
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
        ],
        "it gives up data that was reported as written",
    ),
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
        (Number | Size | Words(_), None) => Err(format!("`{name}` takes a value: {name}=…").into()),
        (Number, Some(value)) if is_number(value) => Ok(format!("{name}={value}")),
        (Size, Some(value)) if is_number(value.trim_end_matches(['k', 'm', 'g'])) => {
            Ok(format!("{name}={value}"))
        }
        (Words(words), Some(value)) if words.contains(&value) => Ok(format!("{name}={value}")),
        (Number | Size, Some(_)) => Err(format!("`{name}` takes a number").into()),
        (Words(words), Some(_)) => Err(format!("`{name}` takes {}", words.join(" or ")).into()),
    }
}

/// Whether `fs` knows every one of `options`.
pub(super) fn check_for(fs: FsType, options: &[String]) -> Result<(), Why> {
    let other = match fs {
        FsType::Ext4 => Xfs,
        FsType::Xfs => Ext4,
    };
    for option in options {
        let name = option.split('=').next().unwrap_or_default();
        if find(name).is_some_and(|(_, _, on)| on == other) {
            return Err(format!("`{name}` is not an option of {fs}: remove it").into());
        }
    }
    Ok(())
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
