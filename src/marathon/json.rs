//! A value in a JSON text, with the way to it.

use serde_json::{Map, Value};

/// A step into a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

/// A value, and where it is: `container.volumes[0].external.size`.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) value: &'a Value,
    pub(super) path: String,
    /// The same, step by step.
    pub(super) steps: Vec<Step<'a>>,
}

impl<'a> At<'a> {
    pub(super) const fn root(value: &'a Value) -> Self {
        Self { value, path: String::new(), steps: Vec::new() }
    }

    /// The field, if it is there. `null` is not: Marathon reads it as left out.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let (key, value) = self.value.as_object()?.get_key_value(key)?;
        (!value.is_null()).then(|| self.step(value, self.place(key), Step::Field(key)))
    }

    fn step(&self, value: &'a Value, path: String, step: Step<'a>) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { value, path, steps }
    }

    /// The field of a field.
    pub(super) fn find<const N: usize>(&self, keys: [&str; N]) -> Option<Self> {
        keys.iter().try_fold(self.clone(), |at, key| at.get(key))
    }

    /// Where a field is, or would be.
    pub(super) fn place(&self, key: &str) -> String {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match (plain, self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!("{}.{key}", self.path),
            (false, _) => format!("{}[{key:?}]", self.path),
        }
    }

    /// The elements of an array; none if it is something else.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let at =
            |(index, value)| self.step(value, format!("{}[{index}]", self.path), Step::Item(index));
        items.iter().enumerate().map(at).collect()
    }

    /// The elements of an array that is a field; none if it is not there.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        self.get(key).map(|at| at.items()).unwrap_or_default()
    }

    /// The fields of an object; none if it is something else.
    pub(super) fn entries(&self) -> Vec<(&'a str, Self)> {
        let entries = self.value.as_object().into_iter().flat_map(Map::iter);
        let at = |(key, value): (&'a String, &'a Value)| {
            (key.as_str(), self.step(value, self.place(key), Step::Field(key)))
        };
        entries.map(at).collect()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// The text of a field.
    pub(super) fn text_of(&self, key: &str) -> Option<&'a str> {
        self.value.get(key).and_then(Value::as_str)
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}
