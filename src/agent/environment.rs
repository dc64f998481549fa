//! The service's settings: those of the environment of whoever installs it, in a file that systemd reads
//! for it, and hawser for the commands of an operator.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path};

use super::{AgentError, files::MARK};
use crate::config::settings;

/// The settings among a process's environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment(BTreeMap<&'static str, String>);

impl Environment {
    /// Those that are hawser's settings and say something; all others are the task's own.
    #[must_use]
    pub fn of(variables: impl Fn(&str) -> Option<String>) -> Self {
        let names = settings()
            .flat_map(|setting| [setting.env].into_iter().chain(setting.aliases.iter().copied()));
        let said = names.filter_map(|name| Some((name, variables(name)?)));
        Self(said.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// One variable a line, as systemd.exec(5) reads them.
    pub(super) fn file(&self) -> Result<String, AgentError> {
        let mut text = MARK.to_owned();
        for (name, value) in &self.0 {
            if value.contains(['\n', '\r']) {
                return Err(AgentError::LineBreak((*name).to_owned()));
            }
            let mut quoted = String::new();
            for character in value.chars() {
                if matches!(character, '"' | '\\' | '`' | '$') {
                    quoted.push('\\');
                }
                quoted.push(character);
            }
            // Nothing that is written to a string fails.
            let _ = writeln!(text, "{name}=\"{quoted}\"");
        }
        Ok(text)
    }
}

/// What is in such a file; nothing where there is none.
///
/// # Errors
/// When it cannot be read: it is root's alone.
pub fn installed(path: &Path) -> io::Result<Vec<(String, String)>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(variable).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn variable(line: &str) -> Option<(String, String)> {
    let (name, quoted) = line.split_once('=').filter(|(name, _)| !name.starts_with('#'))?;
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let mut characters = inner.unwrap_or(quoted).chars();
    let mut value = String::new();
    while let Some(character) = characters.next() {
        value.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let pairs: BTreeMap<_, _> = pairs.iter().copied().collect();
        Environment::of(|name| pairs.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn only_settings_that_say_something_are_handed_on() {
        let environment = environment(&[
            ("HAWSER_CLUSTER", "prod"),
            ("HAWSER_NODE", ""),
            ("PATH", "/bin"),
            ("HAWSER_UNKNOWN", "x"),
            ("REXRAY_FSTYPE", "xfs"),
        ]);

        let file = environment.file().unwrap();

        assert_eq!(file, format!("{MARK}HAWSER_CLUSTER=\"prod\"\nREXRAY_FSTYPE=\"xfs\"\n"));
    }

    /// systemd.exec(5), `EnvironmentFile=`.
    #[test]
    fn what_systemd_would_read_otherwise_is_escaped() {
        let file = environment(&[("HAWSER_EBS_SECRET_KEY", "a\"b\\c$d`e f#g'h")]).file().unwrap();

        assert!(file.ends_with("HAWSER_EBS_SECRET_KEY=\"a\\\"b\\\\c\\$d\\`e f#g'h\"\n"), "{file}");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.env");
        let said = [("HAWSER_CLUSTER", "prod"), ("HAWSER_EBS_SECRET_KEY", "a\"b\\c$d`e f#g'h=i")];
        assert_eq!(installed(&path).unwrap(), []);
        let text = environment(&said).file().unwrap();
        crate::sys::durable::create(&path, text.as_bytes(), 0o600).unwrap();

        let read = installed(&path).unwrap();

        assert_eq!(read, said.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_line_break_is_refused_by_the_name_of_its_variable() {
        let error = environment(&[("HAWSER_CLUSTER", "a\nb")]).file().unwrap_err();

        assert!(matches!(error, AgentError::LineBreak(name) if name == "HAWSER_CLUSTER"));
    }
}
