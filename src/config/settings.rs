//! Every setting, once: its key, its environment variable, its default, and what it means. The
//! configuration reference and the sample file are made from this table.
//!
//! Some settings are of a thing of which there can be several, each with a name of the operator's choice:
//! the exports of the NFS backend. Such a setting has one row, `backends.nfs.timeo`, which is the value
//! for all; the same for one is a key with the name in it, `backends.nfs.NAME.timeo`.

mod cluster;
mod nfs;
mod table;

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.name` in the file, and with `--set`.
    pub key: &'static str,
    /// The environment variable that sets it.
    pub env: &'static str,
    /// Its value where nobody sets it.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Other environment variables that set it: REX-Ray's names of the same thing.
    pub aliases: &'static [&'static str],
    /// Whether its value is shown to nobody.
    pub privacy: Privacy,
    /// Whether it can be said of one thing by its name.
    pub reach: Reach,
}

/// What a setting is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// There is one.
    One,
    /// Its row is for all of a kind; a section with a name in it is for one, and wins.
    EachByName,
}

/// Whether a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Everywhere.
    Open,
    /// Nowhere: not in an error, not in a log, not in any output.
    Secret,
}

impl Setting {
    const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn each_by_name(self) -> Self {
        Self { reach: Reach::EachByName, ..self }
    }

    const fn secret(self) -> Self {
        Self { privacy: Privacy::Secret, ..self }
    }

    /// Its section and its name there.
    pub(super) fn place(&self) -> (&'static str, &'static str) {
        self.key.rsplit_once('.').unwrap_or(("", self.key))
    }

    /// Its value, fit to be shown.
    pub(super) fn shown<'a>(&self, value: &'a str) -> &'a str {
        match self.privacy {
            Privacy::Open => value,
            Privacy::Secret if value.is_empty() => value,
            Privacy::Secret => HIDDEN,
        }
    }
}

/// What stands for a value that is not shown.
pub(super) const HIDDEN: &str = "(not shown)";

const fn setting(
    key: &'static str,
    env: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Setting {
    Setting { key, env, default, meaning, aliases: &[], privacy: Privacy::Open, reach: Reach::One }
}

/// Every setting, in the order of the reference.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    table::TABLE.iter().chain(cluster::TABLE).chain(nfs::TABLE)
}

/// The setting of that key, with a name in it or without.
#[must_use]
pub(super) fn by_key(key: &str) -> Option<&'static Setting> {
    exact(key).or_else(|| by_named_key(key).map(|(_, setting)| setting))
}

/// The name in a key that has one, and the setting: `fast` and `backends.nfs.timeo` of
/// `backends.nfs.fast.timeo`.
pub(super) fn by_named_key(key: &str) -> Option<(&str, &'static Setting)> {
    settings().filter(|setting| setting.reach == Reach::EachByName).find_map(|setting| {
        let (section, field) = setting.place();
        let rest = key.strip_prefix(section)?.strip_prefix('.')?;
        let name = rest.strip_suffix(field)?.strip_suffix('.')?;
        is_name(section, name).then_some((name, setting))
    })
}

/// Whether a thing of that section can be called that: not as a setting is, for a section of that name
/// would look like its value.
fn is_name(section: &str, name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && exact(&format!("{section}.{name}")).is_none()
}

fn exact(key: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.key == key)
}

/// The sample configuration file: every setting, commented out, with its default.
#[must_use]
pub fn sample_file() -> String {
    let mut text = String::from(
        "# hawser.toml: every setting, with its default. Each can also be given by the environment\n\
         # variable named beside it, or as `hawser serve --set KEY=VALUE`, which wins.\n",
    );
    let mut section = "";
    for setting in settings() {
        let (this, name) = setting.place();
        if this != section {
            section = this;
            text.push_str(&format!("\n[{section}]\n"));
        }
        let names = [&[setting.env], setting.aliases].concat().join(", ");
        text.push_str(&format!("\n# {}\n# ({names})\n", setting.meaning));
        text.push_str(&format!("#{name} = \"{}\"\n", setting.default));
    }
    text.push_str(nfs::SAMPLE);
    text
}

/// The reference for the documentation, as a Markdown table.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("| key | environment | default | meaning |\n|---|---|---|---|\n");
    for Setting { key, env, default, meaning, aliases, privacy: _, reach } in settings() {
        let key = match (reach, key.rsplit_once('.')) {
            (Reach::EachByName, Some((section, field))) => format!("{section}[.NAME].{field}"),
            _ => (*key).to_owned(),
        };
        let names: Vec<_> =
            [env].into_iter().chain(*aliases).map(|name| format!("`{name}`")).collect();
        let default =
            if default.is_empty() { "(empty)".to_owned() } else { format!("`{default}`") };
        text.push_str(&format!("| `{key}` | {} | {default} | {meaning} |\n", names.join(", ")));
    }
    text
}
