//! Why a spec is refused, and how untrusted text is shown in errors.
//!
//! A message names the key as the user wrote it and says what to do. It never holds the value
//! of a secret: refused and unknown keys are shown without their values.

use std::{borrow::Cow, fmt};

use super::{BackendKind, Bytes, FsType};

/// The second half of a message: what is wrong with a value, and what to write instead.
pub(super) type Why = Cow<'static, str>;

/// A spec that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text as a whole is not a spec.
    #[error("{0}")]
    Form(&'static str),
    /// Not a volume name.
    #[error(
        "`{0}` is not a volume name: use letters, digits, `_`, `.` and `-`, begin with a letter \
         or a digit, 128 characters at most"
    )]
    Name(Shown),
    /// No key, neither ours nor another plugin's.
    #[error("unknown key `{key}`: {advice}")]
    UnknownKey {
        /// The key as written.
        key: Shown,
        /// The nearest key, or where the keys are listed.
        advice: Why,
    },
    /// The same key twice, perhaps under two names.
    #[error("`{key}` is given twice, as `{first}` and as `{second}`: give it once")]
    Duplicate {
        /// The key.
        key: String,
        /// Its first appearance, as written.
        first: Shown,
        /// Its second appearance, as written.
        second: Shown,
    },
    /// A key without a value.
    #[error("`{key}` has no value: write {key}={values}")]
    NoValue {
        /// The key as written.
        key: Shown,
        /// What can stand there.
        values: &'static str,
    },
    /// A value that the key does not take.
    #[error("`{key}={value}`: {why}")]
    Value {
        /// The key as written.
        key: Shown,
        /// The value as written.
        value: Shown,
        /// What is wrong, and what to write instead.
        why: Why,
    },
    /// A key that is known and cannot be honoured. The value is not shown: it may be a secret.
    #[error("`{key}` is refused: {why}")]
    Refused {
        /// The key as written.
        key: Shown,
        /// Why, and what to do.
        why: Why,
    },
    /// Two keys that cannot both hold.
    #[error("`{one}` and `{other}` contradict each other: {why}")]
    Contradiction {
        /// One of them, as `key=value`.
        one: String,
        /// The other.
        other: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// Less than the file system needs.
    #[error("`size`: {size} is too small for {fs}: ask for {minimum} or more")]
    TooSmall {
        /// The size asked for, or the default.
        size: Bytes,
        /// The file system.
        fs: FsType,
        /// The least that it takes.
        minimum: Bytes,
    },
    /// A key, or a choice, of a backend that this node does not have.
    #[error(
        "`{key}` needs the {backend} backend, which is not configured on this node: {}",
        missing(*backend)
    )]
    Backend {
        /// The key, as written where it was written.
        key: Shown,
        /// The backend that is missing.
        backend: BackendKind,
    },
}

/// How a backend that is missing is had.
fn missing(backend: BackendKind) -> &'static str {
    match backend {
        BackendKind::Local => "remove it",
        BackendKind::Ebs => {
            "remove it, or turn the backend on with backends.ebs.enabled in the daemon's \
             configuration"
        }
        BackendKind::Nfs => {
            "remove it, or name a server in the daemon's configuration, as [backends.nfs.NAME] \
             server = \"HOST:/PATH\""
        }
    }
}

/// The longest piece of a user's text in a message, in characters.
const SHOWN_MAX: usize = 64;

/// Words after which a secret may follow: a text is cut behind them.
const SECRET_WORDS: [&str; 5] = ["pass", "secret", "token", "credential", "accesskey"];

/// A user's text made fit for a message: of sane length, control characters escaped, and cut
/// before anything that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// `text` as messages show it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let secret = SECRET_WORDS.iter().filter_map(|word| lower.find(word)).min();
        // The word itself is shown, with its rest (`passphrase`), but nothing after it.
        let end = secret.map_or(text.len(), |at| {
            text[at..]
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .map_or(text.len(), |n| at + n)
        });
        let mut shown = String::new();
        for (count, c) in text[..end].chars().enumerate() {
            if count == SHOWN_MAX {
                shown.push('…');
                return Self(shown);
            }
            if c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric() {
                shown.push(c);
            } else {
                shown.extend(c.escape_unicode());
            }
        }
        if end < text.len() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_short_and_has_no_control_characters() {
        assert_eq!(Shown::new("pgdata").to_string(), "pgdata");
        assert_eq!(Shown::new("a\x1b[31m\n\u{202e}b").to_string(), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        assert_eq!(Shown::new(&"x".repeat(1000)).to_string(), format!("{}…", "x".repeat(64)));
        assert_eq!(Shown::new(&"x".repeat(64)).to_string(), "x".repeat(64));
    }

    #[test]
    fn shown_text_ends_where_a_secret_begins() {
        assert_eq!(Shown::new("foo;passphrase=hunter2").to_string(), "foo;passphrase…");
        assert_eq!(Shown::new("Secret_Key:hunter2").to_string(), "Secret_Key…");
        assert_eq!(Shown::new("secret_key").to_string(), "secret_key");
    }
}
