//! Where values come from: the file, the environment, the command line. Collects what is unknown.

use std::{collections::BTreeMap, fmt, path::Path};

use super::settings::{HIDDEN, Privacy, Reach, Setting, by_key, by_named_key, settings};

/// Environment variables that are not settings: the file to read, and the crash suite's own.
const OTHER_VARIABLES: [&str; 3] = ["HAWSER_CONFIG", "HAWSER_FAULT", "HAWSER_FAULT_TRACE"];

/// The region, for every program of AWS's.
const AWS_REGION: &str = "AWS_REGION";

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
    values: BTreeMap<String, (String, String)>,
    aws_region: Option<String>,
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
        self.add_variables("environment", variables);
    }

    /// Adds variables that a file sets for the daemon.
    pub fn add_variables(
        &mut self,
        source: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) {
        let said = variables.into_iter().filter(|(_, value)| !value.is_empty());
        let variables: BTreeMap<_, _> = said.collect();
        if let Some(region) = variables.get(AWS_REGION) {
            self.aws_region = Some(region.clone());
        }
        for setting in settings() {
            let names = [&setting.env].into_iter().chain(setting.aliases);
            let mut set = names.filter_map(|name| Some((*name, variables.get(*name)?)));
            let Some((name, value)) = set.next() else { continue };
            self.add(source, setting.key, value);
            if let Some((other, another)) = set.find(|(_, another)| *another != value) {
                let why = format!(
                    "{other} is set too, to something else ({}): they are names of one setting, \
                     set one of them",
                    setting.shown(another)
                );
                let (source, value) = (source.to_owned(), setting.shown(value).to_owned());
                self.mistakes.push(Mistake { source, key: name.to_owned(), value, why });
            }
        }
        for (name, value) in &variables {
            let known = settings().any(|setting| setting.env == name);
            if name.starts_with("HAWSER_") && !known && !OTHER_VARIABLES.contains(&name.as_str()) {
                let known = settings().map(|setting| (setting.env.to_owned(), setting.privacy));
                self.unknown(source, name, value, known);
            }
        }
    }

    /// Adds a value given on the command line.
    pub fn add_option(&mut self, key: &str, value: &str) {
        self.add("command line", key, value);
    }

    fn add(&mut self, source: &str, key: &str, value: &str) {
        match by_key(key) {
            Some(_) => {
                self.values.insert(key.to_owned(), (value.to_owned(), source.to_owned()));
            }
            None => {
                let known = settings().map(|setting| (setting.key.to_owned(), setting.privacy));
                self.unknown(source, key, value, known.chain(in_its_section(key)));
            }
        }
    }

    fn unknown(
        &mut self,
        source: &str,
        key: &str,
        value: &str,
        known: impl Iterator<Item = (String, Privacy)>,
    ) {
        let likeness = |known: &str| strsim::jaro_winkler(key, known);
        let nearest = known.max_by(|(a, _), (b, _)| likeness(a).total_cmp(&likeness(b)));
        let (nearest, privacy) = nearest.unwrap_or((String::new(), Privacy::Open));
        let why = format!("unknown key, the nearest is {nearest}{}", how_named(key));
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

    /// The names that a section's settings are given for, each with where one of them was written.
    pub(super) fn names(&self, section: &str) -> BTreeMap<String, String> {
        let named = self.values.iter().filter_map(|(key, (_, source))| {
            let (name, setting) = by_named_key(key)?;
            (setting.place().0 == section).then(|| (name.to_owned(), source.clone()))
        });
        named.collect()
    }

    /// Whether somebody set it.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The region that the environment tells every program of AWS's.
    pub(super) fn aws_region(&self) -> Option<&str> {
        self.aws_region.as_deref()
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
    settings()
        .any(|setting| setting.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// The keys of the section with a name in it that an unknown key seems to be in.
fn in_its_section(key: &str) -> impl Iterator<Item = (String, Privacy)> {
    by_name().filter_map(|setting| {
        let (section, field) = setting.place();
        let (name, _) = key.strip_prefix(section)?.strip_prefix('.')?.rsplit_once('.')?;
        let named = format!("{section}.{name}.{field}");
        by_named_key(&named).is_some().then_some((named, setting.privacy))
    })
}

/// What to do about an unknown key that may have been meant to have a name in it.
fn how_named(key: &str) -> String {
    let below = by_name().map(|setting| setting.place().0).find_map(|section| {
        let rest = key.strip_prefix(section)?.strip_prefix('.')?;
        Some((section, rest.rsplit_once('.')))
    });
    match below {
        None => String::new(),
        Some((section, Some((name, field)))) if can_be_named(section, name) => {
            let for_all = format!("{section}.{field}");
            // With a name that can be one, the nearest key says enough.
            match by_key(&for_all) {
                Some(_) => format!(" ({field} is one for all: write {for_all})"),
                None => String::new(),
            }
        }
        Some((section, _)) => format!(
            " (a section of its own is [{section}.NAME], with a name of letters, digits, `_` and `-` \
             that is no setting's)"
        ),
    }
}

/// Whether a section can have that name in it.
fn can_be_named(section: &str, name: &str) -> bool {
    by_name().any(|setting| {
        let (of, field) = setting.place();
        of == section && by_named_key(&format!("{of}.{name}.{field}")).is_some()
    })
}

fn by_name() -> impl Iterator<Item = &'static Setting> {
    settings().filter(|setting| setting.reach == Reach::EachByName)
}
