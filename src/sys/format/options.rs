//! Which of mkfs's options a user may set.
//!
//! A list of what is allowed, since the rest can force, skip the real work (`-n`, `-S`, `-N`), or
//! name another device or file to write to (`-J device=`, `-d name=`, `-l logdev=`, any bare word).

use crate::spec::FsType;

/// Options that take a value and concern nothing but the layout of the file system.
const EXT4: &str = "beCEgGiIJmNOT";
const XFS: &str = "bdilmns";

/// Sub-options that lead out of the device, or would undo what [`super`] relies on.
const REFUSED: [&str; 10] = [
    "device",
    "name",
    "file",
    "logdev",
    "rtdev",
    "offset",
    "discard",
    "uuid",
    "hash_seed",
    "location",
];

/// An option that is not passed on to mkfs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not in the list.
    #[error("mkfs option `{option}` is not allowed: hawser passes on -{} with a value", allowed.chars().map(String::from).collect::<Vec<_>>().join(", -"))]
    NotAllowed {
        /// As written.
        option: String,
        /// The letters that are allowed.
        allowed: &'static str,
    },
    /// The option is allowed, this value is not.
    #[error(
        "mkfs option `-{letter} {value}` is not allowed: `{part}` is set by hawser or leaves the device"
    )]
    Value {
        /// The option.
        letter: char,
        /// Its value.
        value: String,
        /// The part of the value.
        part: String,
    },
    /// An option at the end without its value.
    #[error("mkfs option `-{letter}` has no value")]
    NoValue {
        /// The option.
        letter: char,
    },
}

/// Options that were checked, in the user's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed(Vec<(char, String)>);

/// Checks `-x value` and `-xvalue`.
pub(super) fn parse(fs: FsType, options: &[String]) -> Result<Parsed, OptionError> {
    let allowed = match fs {
        FsType::Ext4 => EXT4,
        FsType::Xfs => XFS,
    };
    let mut parsed = Vec::new();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let mut chars = word.chars();
        let letter = match (chars.next(), chars.next()) {
            (Some('-'), Some(letter)) if allowed.contains(letter) => letter,
            _ => {
                return Err(OptionError::NotAllowed { option: word.clone(), allowed });
            }
        };
        let value = match chars.as_str() {
            "" => words.next().ok_or(OptionError::NoValue { letter })?.clone(),
            attached => attached.to_owned(),
        };
        check_value(letter, &value)?;
        parsed.push((letter, value));
    }
    Ok(Parsed(parsed))
}

fn check_value(letter: char, value: &str) -> Result<(), OptionError> {
    let refused = |part: &str| {
        REFUSED.contains(&part.split('=').next().unwrap_or(part).trim()) || part.starts_with('-')
    };
    match value.split(',').find(|part| refused(part)) {
        None => Ok(()),
        Some(part) => {
            Err(OptionError::Value { letter, value: value.to_owned(), part: part.to_owned() })
        }
    }
}

impl Parsed {
    /// Takes the values of one option out, joined as one list.
    pub(super) fn take(&mut self, letter: char) -> Option<String> {
        let (taken, rest) =
            std::mem::take(&mut self.0).into_iter().partition(|(l, _)| *l == letter);
        self.0 = rest;
        let values: Vec<String> = Vec::<(char, String)>::into_iter(taken).map(|(_, v)| v).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Sets an option that the user left open.
    pub(super) fn default(&mut self, letter: char, value: &str) {
        if !self.0.iter().any(|(l, _)| *l == letter) {
            self.0.push((letter, value.to_owned()));
        }
    }

    pub(super) fn into_args(self) -> Vec<String> {
        self.0.into_iter().flat_map(|(letter, value)| [format!("-{letter}"), value]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(fs: FsType, words: &str) -> Result<Parsed, OptionError> {
        parse(fs, &words.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn layout_options_pass_in_both_spellings() {
        let parsed = parse_words(FsType::Ext4, "-i 65536 -Ostride -E stride=4 -Eroot_owner=1:1");

        let mut parsed = parsed.unwrap();

        assert_eq!(parsed.take('E').as_deref(), Some("stride=4,root_owner=1:1"));
        parsed.default('i', "1");
        parsed.default('m', "0");
        assert_eq!(parsed.into_args(), ["-i", "65536", "-O", "stride", "-m", "0"]);
    }

    #[test]
    fn what_forces_skips_or_leaves_the_device_is_refused() {
        for (fs, words) in [
            (FsType::Ext4, "-F"),
            (FsType::Ext4, "-qF"),
            (FsType::Ext4, "-i 65536 -FF"),
            (FsType::Ext4, "-n"),
            (FsType::Ext4, "-S"),
            (FsType::Ext4, "-c"),
            (FsType::Ext4, "-U clear"),
            (FsType::Ext4, "/dev/sda"),
            (FsType::Ext4, "-J size=64,device=/dev/sda"),
            (FsType::Ext4, "-E offset=4096"),
            (FsType::Ext4, "-E discard"),
            (FsType::Ext4, "-i"),
            (FsType::Ext4, "-i -F"),
            (FsType::Ext4, ""),
            (FsType::Xfs, "-f"),
            (FsType::Xfs, "-N"),
            (FsType::Xfs, "-d name=/dev/sda"),
            (FsType::Xfs, "-l logdev=/dev/sda"),
            (FsType::Xfs, "-m uuid=0"),
            (FsType::Xfs, "-s size=4096 -f"),
        ] {
            assert!(parse_words(fs, words).is_err(), "{fs}: {words}");
        }
    }
}
