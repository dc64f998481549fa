//! Where values come from: the file, the environment, the command line. Collects what is unknown.

use std::{collections::BTreeMap, fmt, path::Path};

use super::settings::{HIDDEN, Privacy, SETTINGS, by_key};

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
#[derive(Default)]
pub struct Values {
    values: BTreeMap<&'static str, (String, String)>,
    mistakes: Vec<Mistake>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.values.iter().map(|(key, (value, source))| {
            let value = by_key(key).map_or(HIDDEN, |setting| setting.shown(value));
            (key, (value, source))
        });
        f.debug_map().entries(shown).finish()
    }
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
                // Not its own text: it shows the line, which may hold a secret.
                why: match error.span() {
                    Some(span) => format!("line {}: {}", line(text, span.start), error.message()),
                    None => error.message().to_owned(),
                },
            }),
        }
    }

    fn add_table(&mut self, source: &str, prefix: &str, table: &toml::Table) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                // A table that is no section too: its values are told one by one, so that a secret
                // among them is not shown.
                toml::Value::Table(table) if is_section(&key) || !table.is_empty() => {
                    self.add_table(source, &format!("{key}."), table);
                }
                toml::Value::String(text) => self.add(source, &key, text),
                toml::Value::Array(_) => self.add(source, &key, "(a list)"),
                toml::Value::Table(_) => self.add(source, &key, "(a section)"),
                toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Boolean(_)
                | toml::Value::Datetime(_) => {
                    // The text that was written, near enough, for a message or a number.
                    let text = serde_json::to_string(value).unwrap_or_default();
                    self.add(source, &key, &text);
                }
            }
        }
    }

    /// Adds the environment's values. An empty variable is how managed plugins and unit files say
    /// "not set".
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let variables: BTreeMap<_, _> = variables.filter(|(_, value)| !value.is_empty()).collect();
        for setting in SETTINGS {
            let names = [&setting.env].into_iter().chain(setting.aliases);
            let mut set = names.filter_map(|name| Some((*name, variables.get(*name)?)));
            let Some((name, value)) = set.next() else { continue };
            self.add("environment", setting.key, value);
            if let Some((other, another)) = set.find(|(_, another)| *another != value) {
                let why = format!(
                    "{other} is set too, to something else ({}): they are names of one setting, \
                     set one of them",
                    setting.shown(another)
                );
                let (source, value) = ("environment".to_owned(), setting.shown(value).to_owned());
                self.mistakes.push(Mistake { source, key: name.to_owned(), value, why });
            }
        }
        for (name, value) in &variables {
            let known = SETTINGS.iter().any(|setting| setting.env == name);
            if name.starts_with("HAWSER_") && !known && !OTHER_VARIABLES.contains(&name.as_str()) {
                let known = SETTINGS.iter().map(|setting| (setting.env, setting.privacy));
                self.unknown("environment", name, value, known);
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
                let known = SETTINGS.iter().map(|setting| (setting.key, setting.privacy));
                self.unknown(source, key, value, known);
            }
        }
    }

    fn unknown(
        &mut self,
        source: &str,
        key: &str,
        value: &str,
        known: impl Iterator<Item = (&'static str, Privacy)>,
    ) {
        let likeness = |known: &str| strsim::jaro_winkler(key, known);
        let nearest = known.max_by(|(a, _), (b, _)| likeness(a).total_cmp(&likeness(b)));
        let (nearest, privacy) = nearest.unwrap_or(("", Privacy::Open));
        let why = format!("unknown key, the nearest is {nearest}");
        let value =
            if privacy == Privacy::Secret || may_hold_a_secret(key) { HIDDEN } else { value };
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

    /// The same, fit to be shown.
    pub(super) fn get_shown(&self, key: &str) -> (String, String) {
        let (value, source) = self.get(key);
        let shown = by_key(key).map_or(HIDDEN, |setting| setting.shown(&value));
        (shown.to_owned(), source)
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }
}

/// Whether an unknown key reads like that of a secret.
fn may_hold_a_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["secret", "pass", "token", "credential", "access"].iter().any(|word| key.contains(word))
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn is_section(key: &str) -> bool {
    SETTINGS
        .iter()
        .any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}
