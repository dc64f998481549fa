//! Where values come from: the file, the environment, the command line. Collects what is unknown.

use std::{collections::BTreeMap, fmt, path::Path};

use super::settings::{SETTINGS, by_key};

/// Environment variables that are not settings: the file to read, and the crash suite's own.
const OTHER_VARIABLES: [&str; 3] = ["HAWSER_CONFIG", "HAWSER_FAULT", "HAWSER_FAULT_TRACE"];

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, the environment variable, or the option.
    pub source: String,
    /// The setting.
    pub key: String,
    /// What was written.
    pub value: String,
    /// Why it cannot be used.
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, key, value, why } = self;
        write!(f, "{source}: {key}: {value}: {why}")
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// What was written, by key; the last source wins.
#[derive(Debug, Default)]
pub struct Values {
    values: BTreeMap<&'static str, (String, String)>,
    mistakes: Vec<Mistake>,
}

impl Values {
    /// Adds a file's values.
    pub fn add_file(&mut self, path: &Path, text: &str) {
        let source = path.display().to_string();
        match text.parse::<toml::Table>() {
            Ok(table) => self.add_table(&source, "", &table),
            Err(error) => self.mistakes.push(Mistake {
                source,
                key: "(file)".into(),
                value: "(text)".into(),
                why: error.to_string().trim().to_owned(),
            }),
        }
    }

    fn add_table(&mut self, source: &str, prefix: &str, table: &toml::Table) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                toml::Value::Table(table) if is_section(&key) => {
                    self.add_table(source, &format!("{key}."), table);
                }
                toml::Value::String(text) => self.add(source, &key, text),
                toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Boolean(_)
                | toml::Value::Datetime(_)
                | toml::Value::Array(_)
                | toml::Value::Table(_) => {
                    // The text that was written, near enough, for a message or a number.
                    let text = serde_json::to_string(value).unwrap_or_default();
                    self.add(source, &key, &text);
                }
            }
        }
    }

    /// Adds the environment's values.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            if !name.starts_with("HAWSER_") || OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            match SETTINGS.iter().find(|setting| setting.env == name) {
                // An empty variable is how managed plugins and unit files say "not set".
                Some(_) if value.is_empty() => {}
                Some(setting) => self.add("environment", setting.key, &value),
                None => {
                    let known = SETTINGS.iter().map(|setting| setting.env);
                    self.unknown("environment", &name, &value, known);
                }
            }
        }
    }

    /// Adds a value given on the command line.
    pub fn add_option(&mut self, key: &str, value: &str) {
        self.add("command line", key, value);
    }

    fn add(&mut self, source: &str, key: &str, value: &str) {
        match by_key(key) {
            Some(setting) => {
                self.values.insert(setting.key, (value.to_owned(), source.to_owned()));
            }
            None => {
                let known = SETTINGS.iter().map(|setting| setting.key);
                self.unknown(source, key, value, known);
            }
        }
    }

    fn unknown(
        &mut self,
        source: &str,
        key: &str,
        value: &str,
        known: impl Iterator<Item = &'static str>,
    ) {
        let nearest = known
            .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
        let why = format!("unknown key, the nearest is {}", nearest.unwrap_or_default());
        let (source, key, value) = (source.to_owned(), key.to_owned(), value.to_owned());
        self.mistakes.push(Mistake { source, key, value, why });
    }

    /// A setting's value and where it comes from.
    pub(super) fn get(&self, key: &str) -> (String, String) {
        self.values.get(key).cloned().unwrap_or_else(|| {
            let default = by_key(key).map(|setting| setting.default).unwrap_or_default();
            (default.to_owned(), "default".to_owned())
        })
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

fn is_section(key: &str) -> bool {
    SETTINGS
        .iter()
        .any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}
