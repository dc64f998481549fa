//! The list of keys: `-o help` and `hawser spec --help-keys`.

use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

use super::{BackendKind, key::KEYS};

/// One key, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyHelp {
    /// The key.
    pub key: &'static str,
    /// What it takes.
    pub values: &'static str,
    /// What holds if it is not stated.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether it can be had.
    pub status: Status,
    /// Other plugins' names for it, in lower case.
    pub aliases: &'static [&'static str],
}

/// Whether a key can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// On every volume.
    Served,
    /// On volumes of that backend, where it is configured.
    Needs(BackendKind),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served => f.pad(""),
            Self::Needs(kind) => f.pad(&format!("{kind} only")),
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Served => serializer.serialize_str("served"),
            Self::Needs(kind) => serializer.collect_str(&format_args!("needs {kind}")),
        }
    }
}

const HEAD: &str = "\
A volume is asked for by name, with what it is to be as options or inline, in the name:

  docker volume create -d hawser -o size=20GiB -o fs=xfs pgdata
  docker run --volume-driver hawser -v pgdata,size=20GiB,fs=xfs:/data IMAGE
  docker run --volume-driver hawser -v name=pgdata,size=20GiB,fs=xfs:/data IMAGE

";

const TAIL: &str = "
Lists are separated by `;`: `,` ends an element of an inline spec, and docker splits at `:`.
In lists `.` can stand for `=`, which dvdcli cannot carry: mount_options=noatime;commit.30
Options of Portworx, REX-Ray, Cloudstor, Convoy and others are understood, or refused with the
reason. A bare size is GiB, as theirs is; the loopback plugin's was bytes: write the unit.
";

/// Every key.
#[must_use]
pub fn help() -> Vec<KeyHelp> {
    let name = KeyHelp {
        key: "name",
        values: "NAME",
        default: "must be given",
        meaning: "which volume: letters, digits, `_`, `.`, `-`; 128 at most",
        status: Status::Served,
        aliases: &[],
    };
    let fields = KEYS.iter().map(|row| KeyHelp {
        key: row.name,
        values: row.values,
        default: row.default,
        meaning: row.meaning,
        status: row.backend.map_or(Status::Served, Status::Needs),
        aliases: row.aliases,
    });
    [name].into_iter().chain(fields).collect()
}

/// The list of keys as aligned text.
#[must_use]
pub fn help_text() -> String {
    let keys = help();
    let width = |column: fn(&KeyHelp) -> usize| keys.iter().map(column).max().unwrap_or_default();
    let key_width = width(|key| key.key.len());
    let values_width = width(|key| key.values.len());
    let default_width = width(|key| key.default.len());
    let mut text = HEAD.to_owned();
    for KeyHelp { key, values, default, meaning, status, aliases } in &keys {
        let mut notes = vec![];
        if *status != Status::Served {
            notes.push(status.to_string());
        }
        if !aliases.is_empty() {
            notes.push(format!("also: {}", aliases.join(", ")));
        }
        let notes =
            if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join("; ")) };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {key:key_width$}  {values:values_width$}  {default:default_width$}  {meaning}{notes}"
        );
    }
    text + TAIL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_listed_once_with_what_it_takes() {
        let help = help();
        assert_eq!(help.len(), KEYS.len() + 1);
        let find = |key| help.iter().find(|help| help.key == key).unwrap();
        assert_eq!(find("scale").status, Status::Served);
        assert_eq!(find("iops").status, Status::Needs(BackendKind::Ebs));
        assert_eq!(find("size").status, Status::Served);
        let json = serde_json::to_value(find("zone")).unwrap();
        assert_eq!(json["status"], "needs ebs");
    }

    #[test]
    fn the_text_is_aligned() {
        let text = help_text();
        let column = |line: &str, word: &str| line.find(word).unwrap();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        assert_eq!(
            column(line("  size "), "from the configuration"),
            column(line("  mkfs_options "), "none"),
        );
        assert!(line("  fs ").ends_with("[also: fstype, newfstype, filesystem]"), "{text}");
        assert!(text.contains("the loopback plugin's was bytes"));
    }
}
