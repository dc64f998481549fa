//! Sizes: a count of bytes, and how users write it.
//!
//! A bare number is GiB. The suffixes B, K, M, G and T (with or without `B`, `i` or `iB`, in
//! either case) are all binary: `10G`, `10GB` and `10GiB` are 10 × 2³⁰ bytes, as in Portworx and
//! REX-Ray, whose specs hawser accepts.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(u64);

const UNITS: [(char, u32); 5] = [('T', 40), ('G', 30), ('M', 20), ('K', 10), ('B', 0)];

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// `count` bytes.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// `count` × 2²⁰ bytes. Meant for constants: saturates instead of overflowing.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 20))
    }

    /// `count` × 2³⁰ bytes. Meant for constants: saturates instead of overflowing.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count.saturating_mul(1 << 30))
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Rounded down to two or more digits of the largest unit, for people: a measured size is shown
    /// exactly by [`Display`](fmt::Display), and 77715368KiB tells nobody anything.
    #[must_use]
    pub const fn rounded(self) -> Self {
        let mut shift = 40;
        while shift > 0 && self.0 >> shift < 10 {
            shift -= 10;
        }
        Self(self.0 >> shift << shift)
    }

    /// The sum, at most `u64::MAX`.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least 0.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Bytes {
    /// Exact, in the largest unit that divides the count: `10GiB`, `1536MiB`, `1000B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = UNITS
            .into_iter()
            .find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift)
            .unwrap_or(('B', 0));
        let suffix = if shift == 0 { "B".to_owned() } else { format!("{unit}iB") };
        f.pad(&format!("{}{suffix}", self.0 >> shift))
    }
}

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, ParseBytesError> {
        let not_a_size = || ParseBytesError::NotASize(text.to_owned());
        let overflow = || ParseBytesError::Overflow(text.to_owned());
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, suffix) = text.split_at(digits_end);
        if digits.is_empty() {
            return Err(not_a_size());
        }
        let shift = shift_of(suffix).ok_or_else(not_a_size)?;
        let count: u64 = digits.parse().map_err(|_| overflow())?;
        let bytes = count.checked_mul(1 << shift).ok_or_else(overflow)?;
        // A file offset is a signed 64-bit number: nothing larger can be stored anywhere.
        if i64::try_from(bytes).is_err() {
            return Err(overflow());
        }
        Ok(Self(bytes))
    }
}

/// The power of two that a unit suffix stands for.
fn shift_of(suffix: &str) -> Option<u32> {
    let suffix = suffix.to_ascii_uppercase();
    if suffix.is_empty() {
        return Some(30);
    }
    let (unit, shift) = UNITS.into_iter().find(|(unit, _)| suffix.starts_with(*unit))?;
    let rest = &suffix[1..];
    let known = if unit == 'B' { rest.is_empty() } else { matches!(rest, "" | "B" | "I" | "IB") };
    known.then_some(shift)
}

/// A size that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseBytesError {
    /// Not a number with a known unit.
    #[error(
        "`{0}` is not a size: write a whole number with B, K, M, G or T, such as 512M or 10GiB (a bare number is GiB)"
    )]
    NotASize(String),
    /// More than 2⁶³ − 1 bytes.
    #[error("`{0}` is larger than any volume can be (8 EiB)")]
    Overflow(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_gib_and_all_units_are_binary() {
        for (text, bytes) in [
            ("10", Bytes::gib(10)),
            ("10g", Bytes::gib(10)),
            ("10GB", Bytes::gib(10)),
            ("10GiB", Bytes::gib(10)),
            ("512M", Bytes::mib(512)),
            ("512Mi", Bytes::mib(512)),
            ("1024k", Bytes::mib(1)),
            ("4096B", Bytes::new(4096)),
            ("2T", Bytes::gib(2048)),
        ] {
            assert_eq!(text.parse(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "G", "-1", "1.5G", "10 G", "10X", "10GX", "10Bi", "10BB", "١"] {
            assert_eq!(text.parse::<Bytes>(), Err(ParseBytesError::NotASize(text.into())));
        }
        for text in ["99999999999999999999", "9000000T", "8388608T"] {
            assert_eq!(text.parse::<Bytes>(), Err(ParseBytesError::Overflow(text.into())));
        }
    }

    #[test]
    fn a_measured_size_is_rounded_down_for_people() {
        for (bytes, text) in [
            (Bytes::new(77_715_368 << 10), "74GiB"),
            (Bytes::new((9 << 30) + 12_345), "9GiB"),
            (Bytes::new((9 << 30) + (5 << 20) + 1), "9221MiB"),
            (Bytes::new(28 << 10), "28KiB"),
            (Bytes::new(5000), "5000B"),
            (Bytes::ZERO, "0B"),
        ] {
            assert_eq!(bytes.rounded().to_string(), text);
        }
    }

    #[test]
    fn a_size_is_shown_exactly_and_reads_back() {
        for (bytes, text) in [
            (Bytes::gib(10), "10GiB"),
            (Bytes::gib(2048), "2TiB"),
            (Bytes::mib(1536), "1536MiB"),
            (Bytes::new(1000), "1000B"),
            (Bytes::ZERO, "0B"),
        ] {
            assert_eq!(bytes.to_string(), text);
            assert_eq!(text.parse(), Ok(bytes));
        }
    }
}
