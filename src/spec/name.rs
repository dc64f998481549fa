//! Volume names.
//!
//! Docker itself puts no rule on the names of a plugin's volumes, so the rule is ours: what is
//! safe as a file name, as a tag and in a log, everywhere.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::error::{Shown, SpecError};

const MAX_LEN: usize = 128;

/// The name of a volume, unique in the cluster: `[A-Za-z0-9][A-Za-z0-9_.-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

impl VolumeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a group's member: `elk_003`.
    ///
    /// # Errors
    ///
    /// Where the group's own name leaves no room for the number.
    pub fn of_member(&self, number: u16) -> Result<Self, SpecError> {
        format!("{self}_{number:03}").parse()
    }

    /// Whether Docker made this name up for an anonymous volume: 64 hexadecimal digits.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl FromStr for VolumeName {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.is_empty() {
            return Err(SpecError::Form("the volume name is empty: give it a name"));
        }
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if !starts_well || text.len() > MAX_LEN || !text.bytes().all(allowed) {
            return Err(SpecError::Name(Shown::new(text)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for VolumeName {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for VolumeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for VolumeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_as_a_file_name() {
        for good in ["a", "0", "pgdata", "my.vol-1_x", &"a".repeat(128)] {
            assert_eq!(good.parse::<VolumeName>().unwrap().as_str(), good);
        }
        for bad in [".", "..", ".a", "-a", "_a", "a/b", "a b", "a:b", "é", "a\0", &"a".repeat(129)]
        {
            assert_eq!(bad.parse::<VolumeName>(), Err(SpecError::Name(Shown::new(bad))));
        }
        assert!("".parse::<VolumeName>().unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn dockers_anonymous_names_are_recognised() {
        let anonymous = |text: &str| text.parse::<VolumeName>().unwrap().is_anonymous();
        assert!(anonymous(&"0a".repeat(32)));
        assert!(!anonymous(&"0A".repeat(32)));
        assert!(!anonymous(&"0a".repeat(31)));
    }

    #[test]
    fn json_can_hold_no_invalid_name() {
        assert_eq!(serde_json::to_string(&"a".parse::<VolumeName>().unwrap()).unwrap(), "\"a\"");
        assert!(serde_json::from_str::<VolumeName>("\"../a\"").is_err());
    }
}
