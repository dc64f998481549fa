//! What was found in an app.

use std::fmt;

use serde::Serialize;

use super::rules::Rule;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Marathon refuses the app, or a task of it cannot start.
    Error,
    /// It starts, and something goes wrong later.
    Warning,
    /// It works; there is something better or plainer.
    Advice,
}

/// Something in an app that breaks a rule.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The rule's name.
    pub rule: &'static str,
    /// The app, with the groups around it.
    pub app: String,
    /// Where it is in the text.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What comes of it.
    pub why: &'static str,
    /// Where that is written.
    pub source: &'static str,
    /// What to write.
    pub instead: String,
}

/// What was found in a text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How many apps and pods there are.
    pub apps: usize,
    /// The worst first, and those of one level in the order of the text.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are of this level.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}

/// What is found, one after the other.
#[derive(Debug, Default)]
pub(super) struct Findings {
    app: String,
    found: Vec<Finding>,
}

impl Findings {
    /// What is found next is of this app.
    pub(super) fn of_app(&mut self, id: &str) {
        id.clone_into(&mut self.app);
    }

    pub(super) fn add(
        &mut self,
        rule: &'static Rule,
        path: impl Into<String>,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) {
        self.found.push(Finding {
            level: rule.level,
            rule: rule.name,
            app: self.app.clone(),
            path: path.into(),
            what: what.into(),
            why: rule.why,
            source: rule.source,
            instead: instead.into(),
        });
    }

    pub(super) fn into_report(mut self, apps: usize) -> Report {
        self.found.sort_by_key(|finding| finding.level);
        Report { apps, findings: self.found }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, rule, app, path, what, why, source, instead } = self;
        let app = if app.is_empty() { String::new() } else { format!("{app}: ") };
        writeln!(f, "{level}: {app}{path}: {what} [{rule}]")?;
        writeln!(f, "    why:     {why} ({source})")?;
        writeln!(f, "    instead: {instead}")
    }
}
