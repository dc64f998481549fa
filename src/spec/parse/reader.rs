//! Reads elements one after the other and remembers the first appearance of everything.

use std::collections::BTreeMap;

use super::{advice::advice, find_row, fold};
use crate::spec::{
    Key, NfsLayout, SpecError, Stated, Value, VolumeName,
    error::{Shown, Why},
    key::Row,
    label,
    peers::PEERS,
};

/// The state of reading: the first appearance of everything, for duplicates.
#[derive(Default)]
pub(super) struct Reader {
    /// The name, and where it was written.
    pub(super) name: Option<(VolumeName, &'static str)>,
    pub(super) stated: Stated,
    /// Keys of satisfied options, which a second appearance duplicates too.
    pub(super) seen: Vec<(&'static str, String)>,
}

impl Reader {
    pub(super) fn read_name(&mut self, place: &'static str, text: &str) -> Result<(), SpecError> {
        let name = text.parse()?;
        if let Some((_, first)) = self.name {
            let (first, second) = (Shown::new(first), Shown::new(place));
            return Err(SpecError::Duplicate { key: "name".to_owned(), first, second });
        }
        self.name = Some((name, place));
        Ok(())
    }

    pub(super) fn read(&mut self, written: &str, value: &str) -> Result<(), SpecError> {
        let (written, value) = (written.trim(), value.trim());
        let folded = fold(written);
        if folded.is_empty() {
            return Err(SpecError::Form("a value has no key: write key=value"));
        }
        if folded == "name" {
            return match value {
                "" => Err(SpecError::NoValue { key: Shown::new(written), values: "NAME" }),
                _ => self.read_name("name=", value),
            };
        }
        for prefix in ["label.", "ebs_tag_"] {
            if folded.starts_with(prefix) {
                return self.read_label(written, &written[prefix.len()..], value);
            }
        }
        if let Some(row) = find_row(&folded) {
            // `mode` is the permissions; the words of a layout can mean nothing else.
            let layout = row.key == Key::Mode && value.parse::<NfsLayout>().is_ok();
            let row = if layout { Key::Layout.row() } else { row };
            return self.read_field(row, written, value);
        }
        let rule = PEERS.iter().find_map(|(names, rule)| {
            names.iter().find(|name| **name == folded).map(|name| (*name, rule))
        });
        match rule {
            Some((name, rule)) => self.read_peer(name, rule, written, value),
            None => Err(SpecError::UnknownKey { key: key_part(written), advice: advice(&folded) }),
        }
    }

    pub(super) fn read_field(
        &mut self,
        row: &Row,
        written: &str,
        value: &str,
    ) -> Result<(), SpecError> {
        if value.is_empty() {
            return Err(SpecError::NoValue { key: Shown::new(written), values: row.values });
        }
        let parsed = (row.parse)(value).map_err(|why| bad_value(written, value, why))?;
        self.state(row.key, written, parsed)
    }

    fn state(&mut self, key: Key, written: &str, value: Value) -> Result<(), SpecError> {
        if self.stated.fields.contains_key(&key) {
            return Err(SpecError::Duplicate {
                key: key.as_str().to_owned(),
                first: Shown::new(self.stated.written(key)),
                second: Shown::new(written),
            });
        }
        self.stated.fields.insert(key, value);
        if written != key.as_str() {
            self.stated.written.insert(key, written.to_owned());
        }
        Ok(())
    }

    pub(super) fn read_label(
        &mut self,
        written: &str,
        key: &str,
        value: &str,
    ) -> Result<(), SpecError> {
        label::check_key(key).map_err(|why| SpecError::Refused { key: key_part(written), why })?;
        if value.is_empty() {
            return Err(SpecError::NoValue { key: Shown::new(written), values: "TEXT" });
        }
        label::check_value(value).map_err(|why| bad_value(written, value, why))?;
        let fields = &mut self.stated.fields;
        let all = fields.entry(Key::Label).or_insert_with(|| Value::Labels(BTreeMap::new()));
        let Value::Labels(labels) = all else {
            return Ok(());
        };
        if labels.len() == label::COUNT_MAX {
            let why = format!("a volume has at most {} labels", label::COUNT_MAX).into();
            return Err(SpecError::Refused { key: Shown::new(written), why });
        }
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            let key = format!("label.{key}");
            let (first, second) = (Shown::new(&key), Shown::new(written));
            return Err(SpecError::Duplicate { key, first, second });
        }
        Ok(())
    }
}

pub(super) fn bad_value(written: &str, value: &str, why: Why) -> SpecError {
    SpecError::Value { key: Shown::new(written), value: Shown::new(value), why }
}

/// An element without `=`. Only what could be a key is shown: the rest may be a secret.
pub(super) fn no_value(element: &str) -> SpecError {
    let values = find_row(&fold(element)).map_or("VALUE", |row| row.values);
    SpecError::NoValue { key: key_part(element), values }
}

pub(super) fn key_part(text: &str) -> Shown {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-/".contains(c)));
    match end {
        Some(0) => Shown::new("…"),
        Some(end) => Shown::new(&format!("{}…", &text[..end])),
        None => Shown::new(text),
    }
}
