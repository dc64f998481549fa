//! mkfs options: an allow-list per file system, from text to arguments and back.
//!
//! Written `mkfs_options=-m;1;-E;lazy_itable_init=0` or, with spaces, `-m 1 -E …`. `,` ends an
//! element of an inline spec, so a flag may be repeated instead: `-E;a=1;-E;b=2` is `-E a=1,b=2`.
//! As in mount options, `:` and `.` can stand for the `=` between a name and its value.
//!
//! What is kept are the arguments themselves. They reach the argument list of mkfs, never a
//! shell, and still a file system that outlives crashes needs more than that: no flag may force
//! (`-F`, `-f`), read or write another file or device (`-d`, `-J device=`, `-z`), take the
//! journal away, or do less than make a whole file system (`-n`, `-S`, `-d size=`).

mod table;

use std::collections::BTreeSet;

use table::{
    EXT4, REFUSED,
    Takes::{self, Features, Names, Nothing, Number, Percent, Words},
    XFS,
};

use super::{
    FsType,
    error::{Shown, Why},
    mount::is_number,
};

/// Reads flags that at least one file system takes, as the arguments of mkfs.
pub(super) fn parse(text: &str) -> Result<Vec<String>, Why> {
    let flags = flags(text)?;
    let refusal = match check(EXT4, &flags) {
        Ok(()) => return Ok(arguments(&flags)),
        Err(why) => why,
    };
    match check(XFS, &flags) {
        Ok(()) => Ok(arguments(&flags)),
        // The more telling of the two: that of the file system which knows the first flag.
        Err(why) if !EXT4.iter().any(|(known, _)| *known == flags[0].0) => Err(why),
        Err(_) => Err(refusal),
    }
}

/// Whether mkfs of `fs` may have these arguments, which [`parse`] returned.
pub(super) fn check_for(fs: FsType, arguments: &[String]) -> Result<(), Why> {
    let table = match fs {
        FsType::Ext4 => EXT4,
        FsType::Xfs => XFS,
    };
    if arguments.is_empty() {
        return Ok(());
    }
    check(table, &flags(&text(arguments))?).map_err(|why| format!("for {fs}, {why}").into())
}

/// The text of arguments that [`parse`] returned, free of `,`.
pub(super) fn text(arguments: &[String]) -> String {
    let mut parts = Vec::new();
    let mut flag = "";
    for argument in arguments {
        if argument.starts_with('-') {
            flag = argument;
            parts.push(flag);
        } else {
            for (index, item) in argument.split(',').enumerate() {
                if index > 0 {
                    parts.push(flag);
                }
                parts.push(item);
            }
        }
    }
    parts.join(";")
}

/// Every flag once, with its items in order.
type Flags = Vec<(char, Vec<String>)>;

fn flags(text: &str) -> Result<Flags, Why> {
    let mut flags: Flags = Vec::new();
    let mut open = None;
    for word in text.split(|c: char| c == ';' || c.is_whitespace()).filter(|word| !word.is_empty())
    {
        let mut value = word;
        if let Some(rest) = word.strip_prefix('-') {
            let mut chars = rest.chars();
            let Some(flag) = chars.next().filter(char::is_ascii_alphabetic) else {
                return Err(
                    format!("`{}` is not a flag of mkfs: write -m;1", Shown::new(word)).into()
                );
            };
            let at = flags.iter().position(|(known, _)| *known == flag).unwrap_or_else(|| {
                flags.push((flag, Vec::new()));
                flags.len() - 1
            });
            open = Some(at);
            value = chars.as_str();
            if value.is_empty() {
                continue;
            }
        }
        let Some(at) = open.take() else {
            return Err(format!("`{}` follows no flag: write -m;1", Shown::new(word)).into());
        };
        flags[at].1.extend(value.split(',').map(|item| item.trim().to_owned()));
    }
    if flags.is_empty() {
        return Err("there is no flag in it: write -m;1".into());
    }
    for (_, items) in &mut flags {
        for item in items {
            *item = normal(item);
        }
    }
    Ok(flags)
}

/// `name:value` and `name.value` as `name=value`; numbers keep their point.
fn normal(item: &str) -> String {
    match item.split_once(['=', ':', '.']) {
        Some((name, value)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            format!("{name}={value}")
        }
        _ => item.to_owned(),
    }
}

fn arguments(flags: &Flags) -> Vec<String> {
    flags
        .iter()
        .flat_map(|(flag, items)| {
            let value = (!items.is_empty()).then(|| items.join(","));
            [Some(format!("-{flag}")), value].into_iter().flatten()
        })
        .collect()
}

fn check(table: &[(char, Takes)], flags: &Flags) -> Result<(), Why> {
    for (flag, items) in flags {
        let Some((_, takes)) = table.iter().find(|(known, _)| known == flag) else {
            let known: Vec<_> = table.iter().map(|(flag, _)| format!("-{flag}")).collect();
            let refused = REFUSED.iter().find(|(flags, _)| flags.contains(flag));
            return Err(refused
                .map_or_else(
                    || {
                        format!(
                            "`-{flag}` is not among the flags that hawser allows: {}",
                            known.join(", ")
                        )
                    },
                    |(_, why)| format!("`-{flag}` is refused: {why}"),
                )
                .into());
        };
        let flag = format!("-{flag}");
        match takes {
            Nothing if items.is_empty() => {}
            Nothing => return Err(format!("`{flag}` takes no value").into()),
            Number | Percent | Words(_) if items.len() == 1 => {
                check_value(&flag, *takes, &items[0])?
            }
            Number | Percent | Words(_) => return Err(format!("`{flag}` takes one value").into()),
            Names(_) | Features { .. } if items.is_empty() => {
                return Err(format!("`{flag}` takes a value").into());
            }
            Names(names) => check_names(&flag, names, items)?,
            Features { on, off } => check_features(&flag, on, off, items)?,
        }
    }
    Ok(())
}

fn check_value(of: &str, takes: Takes, value: &str) -> Result<(), Why> {
    let good = match takes {
        Number => is_number(value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', 'b', 's'])),
        Percent => {
            value.len() < 6
                && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && value.parse::<f64>().is_ok_and(|percent| percent <= 50.0)
        }
        Words(words) => words.contains(&value),
        Nothing | Names(_) | Features { .. } => false,
    };
    let wanted = match takes {
        _ if good => return Ok(()),
        Percent => "a percentage up to 50".to_owned(),
        Words(words) => words.join(" or "),
        Number | Nothing | Names(_) | Features { .. } => "a number".to_owned(),
    };
    Err(format!("`{of}` takes {wanted}").into())
}

fn check_names(flag: &str, names: &[(&str, Takes)], items: &[String]) -> Result<(), Why> {
    let mut seen = BTreeSet::new();
    for item in items {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (item.as_str(), None),
        };
        let Some((_, takes)) = names.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let shown = Shown::new(name);
            return Err(format!("`{flag} {shown}` is not allowed: use {}", known.join(", ")).into());
        };
        if !seen.insert(name) {
            return Err(format!("`{flag} {name}` is given twice: give it once").into());
        }
        match (takes, value) {
            (Nothing, None) => {}
            (Nothing, Some(_)) => return Err(format!("`{flag} {name}` takes no value").into()),
            (_, value) => {
                check_value(&format!("{flag} {name}"), *takes, value.unwrap_or_default())?
            }
        }
    }
    Ok(())
}

fn check_features(flag: &str, on: &[&str], off: &[&str], items: &[String]) -> Result<(), Why> {
    let mut seen = BTreeSet::new();
    for item in items {
        let (name, allowed) = match item.strip_prefix('^') {
            Some(name) => (name, off),
            None => (item.as_str(), on),
        };
        if !allowed.contains(&name) {
            return Err(format!(
                "`{flag} {}` is not allowed: use {}, or with `^` {}",
                Shown::new(item),
                on.join(", "),
                off.join(", ")
            )
            .into());
        }
        if !seen.insert(name) {
            return Err(format!("`{flag} {name}` is given twice: give it once").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
