//! Who owns the root directory of a volume, and its permissions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The owner and permissions of the volume's root directory; what is not stated is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    /// The numeric user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The numeric group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// The permissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// Permission bits, at most `7777`; written in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl Mode {
    /// The bits, as chmod(2) takes them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// Not permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mode: write octal permissions up to 7777, such as 0755")]
pub struct NotAMode;

impl FromStr for Mode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| matches!(b, b'0'..=b'7')) {
            return Err(NotAMode);
        }
        let bits = u32::from_str_radix(digits, 8).map_err(|_| NotAMode)?;
        if bits > 0o7777 { Err(NotAMode) } else { Ok(Self(bits)) }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl TryFrom<String> for Mode {
    type Error = NotAMode;

    fn try_from(text: String) -> Result<Self, NotAMode> {
        text.parse()
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_with_or_without_a_prefix() {
        for (text, bits) in [("755", 0o755), ("0755", 0o755), ("0o700", 0o700), ("2770", 0o2770)] {
            assert_eq!(text.parse::<Mode>().map(Mode::bits), Ok(bits), "{text}");
        }
        for text in ["", "0o", "8", "u+rwx", "+7", "-7", "17777", "77777777777777"] {
            assert_eq!(text.parse::<Mode>(), Err(NotAMode), "{text}");
        }
    }

    #[test]
    fn a_mode_is_shown_and_stored_in_octal() {
        let owner = Ownership { mode: Some("755".parse().unwrap()), ..Ownership::default() };
        assert_eq!(serde_json::to_string(&owner).unwrap(), r#"{"mode":"0755"}"#);
        assert_eq!(serde_json::from_str::<Ownership>(r#"{"mode":"0755"}"#).unwrap(), owner);
    }
}
