//! From text to a request.
//!
//! ```text
//! name    = plain | inline                      pgdata
//! inline  = [plain ","] element *("," element)  pgdata,size=20GiB   name=pgdata,size=20GiB
//! element = key "=" value                       docker's -o options are elements too
//! ```
//!
//! A value may hold `=` (the first one ends the key), never `,`; nothing needs `:`, at which
//! docker splits. Keys are matched without regard to case, and `-` for `_`. Each key is given
//! once, in the name or as an option, under whatever name.

mod advice;
mod combine;
mod peer;
mod reader;

use combine::{check_combinations, check_read_only};
use reader::{Reader, no_value};

use super::{
    Key, Request, SpecError, Stated,
    error::Shown,
    key::{KEYS, Row},
};

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// A volume.
    Volume(Request),
    /// `-o help`: the list of keys, and no volume.
    Help,
}

/// Reads `name`, a plain name or an inline spec, and `options`, docker's `-o` (there may be none).
///
/// # Errors
/// Whatever cannot be honoured exactly as written: see [`SpecError`].
pub fn parse<'a>(
    name: &str,
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Asked, SpecError> {
    let options: Vec<_> = options.into_iter().collect();
    if options.iter().any(|(key, _)| is_help(key)) {
        return Ok(Asked::Help);
    }
    let mut reader = Reader::default();
    if name.contains([',', '=']) {
        for (index, element) in name.split(',').map(str::trim).enumerate() {
            match element.split_once('=') {
                Some((key, value)) => reader.read(key, value)?,
                None if element.is_empty() => {
                    return Err(SpecError::Form(
                        "an element of the spec is empty: remove the comma too many",
                    ));
                }
                None if index == 0 => reader.read_name("the first element", element)?,
                None => return Err(no_value(element)),
            }
        }
    } else {
        reader.read_name("the volume's name", name)?;
    }
    for (key, value) in options {
        reader.read(key, value)?;
    }
    let Some((name, _)) = reader.name else {
        return Err(SpecError::Form("the spec names no volume: add name=NAME"));
    };
    check_combinations(&reader.stated)?;
    check_read_only(&reader.stated)?;
    Ok(Asked::Volume(Request { name, stated: reader.stated }))
}

/// Reads options alone, of a volume whose name is known: `hawser volume set`.
///
/// # Errors
/// As [`parse`]; and a name among the options.
pub fn parse_options<'a>(
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Stated, SpecError> {
    let mut reader = Reader::default();
    for (key, value) in options {
        reader.read(key, value)?;
    }
    if reader.name.is_some() {
        let why = "a volume cannot be renamed: remove it".into();
        return Err(SpecError::Refused { key: Shown::new("name"), why });
    }
    check_combinations(&reader.stated)?;
    Ok(reader.stated)
}

fn is_help(key: &str) -> bool {
    key.trim().eq_ignore_ascii_case("help")
}

/// A key as the tables have it.
fn fold(key: &str) -> String {
    key.to_ascii_lowercase().replace('-', "_")
}

/// The row of a key of ours, or of a plain synonym of another plugin's.
fn find_row(folded: &str) -> Option<&'static Row> {
    KEYS.iter()
        .find(|row| row.key != Key::Label && (row.name == folded || row.aliases.contains(&folded)))
}

#[cfg(test)]
mod tests;
