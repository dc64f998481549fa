//! Another plugin's option: translated, satisfied or refused.

use super::reader::{Reader, bad_value};
use crate::spec::{Key, SpecError, choice::flag, error::Shown, peers::Rule};

impl Reader {
    /// Reads `written=value`, which another plugin calls `name`.
    pub(super) fn read_peer(
        &mut self,
        name: &'static str,
        rule: &Rule,
        written: &str,
        value: &str,
    ) -> Result<(), SpecError> {
        let key = Shown::new(written);
        let truth = || flag(value).map_err(|why| bad_value(written, value, why));
        match rule {
            Rule::Refuse(why) => Err(SpecError::Refused { key, why: (*why).into() }),
            // A bare `-o secure` means true.
            Rule::Never(why) if value.is_empty() || truth()? => {
                Err(SpecError::Refused { key, why: (*why).into() })
            }
            _ if value.is_empty() => Err(SpecError::NoValue { key, values: values(rule) }),
            Rule::Never(_) => self.satisfied(name, written, value),
            Rule::Always => truth().and_then(|_| self.satisfied(name, written, value)),
            Rule::Only(words, _) if words.iter().any(|word| value.eq_ignore_ascii_case(word)) => {
                self.satisfied(name, written, value)
            }
            Rule::Only(_, why) => Err(bad_value(written, value, (*why).into())),
            Rule::Words(words, why) => {
                match words.iter().find(|(word, _, _)| value.eq_ignore_ascii_case(word)) {
                    Some((_, key, ours)) => self.read_as(*key, written, ours),
                    None => Err(bad_value(written, value, (*why).into())),
                }
            }
            Rule::Switch { yes, no } => {
                let (key, ours) = if truth()? { yes } else { no };
                self.read_as(*key, written, ours)
            }
            Rule::Owner => self.read_owner(written, value),
            Rule::Labels => self.read_labels(written, value),
        }
    }

    /// Another plugin's `written`, which means `key=value` here.
    fn read_as(&mut self, key: Key, written: &str, value: &str) -> Result<(), SpecError> {
        self.read_field(key.row(), written, value)
    }

    fn read_owner(&mut self, written: &str, value: &str) -> Result<(), SpecError> {
        let Some((uid, gid)) = value.split_once([':', ';']) else {
            return Err(bad_value(written, value, "write UID:GID, or uid= and gid=".into()));
        };
        self.read_as(Key::Uid, written, uid)?;
        self.read_as(Key::Gid, written, gid)
    }

    fn read_labels(&mut self, written: &str, value: &str) -> Result<(), SpecError> {
        value.split([',', ';']).try_for_each(|pair| {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(bad_value(written, value, "write KEY=TEXT;KEY=TEXT".into()));
            };
            self.read_label(written, key.trim(), value.trim())
        })
    }

    /// Notes an option that asks for what holds anyway.
    fn satisfied(
        &mut self,
        name: &'static str,
        written: &str,
        value: &str,
    ) -> Result<(), SpecError> {
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == name) {
            return Err(SpecError::Duplicate {
                key: name.to_owned(),
                first: Shown::new(first),
                second: Shown::new(written),
            });
        }
        self.seen.push((name, written.to_owned()));
        self.stated.satisfied.push(format!("{written}={}", Shown::new(value)));
        Ok(())
    }
}

/// What the option takes.
fn values(rule: &Rule) -> &'static str {
    match rule {
        Rule::Switch { .. } | Rule::Always | Rule::Never(_) => "true|false",
        Rule::Owner => "UID:GID",
        Rule::Labels => "KEY=TEXT;KEY=TEXT",
        Rule::Words(..) | Rule::Only(..) | Rule::Refuse(_) => "VALUE",
    }
}
