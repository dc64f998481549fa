//! From what a user stated to a volume on NFS: which export, which directory there, which layout.

use super::{NfsDefaults, NfsLayout, NfsSpec};
use crate::spec::{
    Key, SpecError, Stated, Value, VolumeName,
    error::{Shown, Why},
};

/// What a directory does not have, and why it cannot be stated.
pub(in crate::spec) const NO_FILE_SYSTEM: ([Key; 2], &str) = (
    [Key::Fs, Key::MkfsOptions],
    "the volume is a directory on an NFS server and has no file system of its own: remove it, or \
     write layout=image for one in a file, with its size enforced",
);

/// Why an image has no path of its own.
const IMAGE_PATH: &str = "an image lies among the export's images, by its volume's id: remove it, or \
                          write layout=directory";

/// The longest path below an export, in bytes. MOUNT takes 1024 for the whole (RFC 1813, section 5.1.3).
const PATH_MAX: usize = 512;

/// The longest name of a directory, in bytes, on what servers usually export.
const COMPONENT_MAX: usize = 255;

/// Directories that begin so are hawser's own: the marks, the trash.
const OWN: &str = ".hawser";

impl NfsSpec {
    /// The spec of a new volume.
    pub(in crate::spec) fn new(
        stated: &Stated,
        name: &VolumeName,
        defaults: &NfsDefaults,
    ) -> Result<Self, SpecError> {
        let export = match stated.text(Key::Export) {
            Some(export) if defaults.exports.iter().any(|known| known == export) => export,
            Some(export) => {
                return Err(SpecError::Value {
                    key: Shown::new(stated.written(Key::Export)),
                    value: Shown::new(export),
                    why: unknown(export, &defaults.exports),
                });
            }
            None => defaults.chosen().ok_or_else(|| SpecError::Refused {
                key: Shown::new(stated.written(Key::Backend)),
                why: format!(
                    "there are several exports and none is the default: write export= with one of \
                     {}",
                    defaults.exports.join(", ")
                )
                .into(),
            })?,
        };
        if stated.layout() == NfsLayout::Image && stated.get(Key::Path).is_some() {
            let key = Shown::new(stated.written(Key::Path));
            return Err(SpecError::Refused { key, why: IMAGE_PATH.into() });
        }
        Ok(Self {
            export: export.to_owned(),
            path: stated.text(Key::Path).unwrap_or(name.as_str()).to_owned(),
            layout: stated.layout(),
        })
    }
}

impl Stated {
    /// The layout of a volume on NFS.
    pub(in crate::spec) fn layout(&self) -> NfsLayout {
        self.word(Key::Layout).unwrap_or_default()
    }
}

/// Why there is no such export, and the nearest.
fn unknown(export: &str, known: &[String]) -> Why {
    let likeness = |known: &str| strsim::jaro_winkler(export, known);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match (nearest, known) {
        (None, _) => "no export is configured on this node".into(),
        (Some(only), [_]) => format!("no export of this node: there is only `{only}`").into(),
        (Some(nearest), _) => {
            format!("no export of this node: the nearest is `{nearest}`, of {}", known.join(", "))
                .into()
        }
    }
}

/// Reads the name of an export.
pub(in crate::spec) fn export(text: &str) -> Result<Value, Why> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    if text.len() <= 64 && text.bytes().all(allowed) {
        return Ok(Value::Text(text.to_owned()));
    }
    Err("not the name of an export: an operator gives names to servers and their paths in the \
         daemon's configuration ([backends.nfs.NAME]), and a volume says export=NAME; its own \
         directory there is path="
        .into())
}

/// Reads a directory below an export. A `/` at its beginning means nothing.
pub(in crate::spec) fn path(text: &str) -> Result<Value, Why> {
    let path = text.strip_prefix('/').unwrap_or(text);
    if path.len() > PATH_MAX {
        return Err(format!("a path has at most {PATH_MAX} bytes").into());
    }
    path.split('/').try_for_each(component)?;
    Ok(Value::Text(path.to_owned()))
}

fn component(name: &str) -> Result<(), Why> {
    let allowed = |c: char| c.is_alphanumeric() || "_.-+@".contains(c);
    match name {
        "" => Err("a part of the path is empty: write it as team/pgdata".into()),
        "." | ".." => Err("`.` and `..` are no names of directories: write the path itself".into()),
        _ if name.len() > COMPONENT_MAX => {
            Err(format!("the name of a directory has at most {COMPONENT_MAX} bytes").into())
        }
        _ if name.starts_with(OWN) => {
            Err(format!("names that begin with `{OWN}` are hawser's own: choose another").into())
        }
        _ if !name.chars().all(allowed) => {
            Err("use letters, digits and `_.-+@`, with `/` between directories".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
