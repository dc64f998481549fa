//! Paths on the export, as callers write them.

use crate::backend::nfs::tree::Cause;

/// Refuses what could lead out of the export, or names nothing.
pub(super) fn check(path: &str) -> Result<(), Cause> {
    let bad = |part: &&str| matches!(*part, "" | "." | "..") || part.contains('\0');
    match path.split('/').find(bad) {
        Some(part) if !path.is_empty() => {
            Err(Cause::Refused(format!("{part:?} is no name in a path on an export")))
        }
        _ => Ok(()),
    }
}

/// A path's parent and the name in it; the export itself has none.
pub(super) fn split(path: &str) -> Result<(&str, &str), Cause> {
    check(path)?;
    if path.is_empty() {
        return Err(Cause::Refused("this is the export itself".into()));
    }
    Ok(path.rsplit_once('/').unwrap_or(("", path)))
}
