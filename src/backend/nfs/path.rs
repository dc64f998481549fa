//! Paths on an export as they are written, and their components, which are all that a server is ever told.

use crate::backend::nfs::tree::Cause;

/// NFSv3 servers take 255 bytes, and so do the file systems behind them.
const LONGEST_NAME: usize = 255;

/// The components of a path; none for the export itself.
///
/// # Errors
///
/// `Refused` where a component is empty, `.` or `..`, holds a NUL, or is too long.
pub(super) fn components(path: &str) -> Result<Vec<&str>, Cause> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = path.split('/').collect();
    let bad = |part: &&&str| {
        matches!(**part, "" | "." | "..") || part.contains('\0') || part.len() > LONGEST_NAME
    };
    match parts.iter().find(bad) {
        None => Ok(parts),
        Some(part) => Err(Cause::Refused(format!("{part:?} is no name in a path on an export"))),
    }
}

/// The same, as text.
///
/// # Errors
///
/// `Refused`, also for the export itself.
pub(super) fn split(path: &str) -> Result<(&str, &str), Cause> {
    parent_and_name(path)?;
    Ok(path.rsplit_once('/').unwrap_or(("", path)))
}

/// A path's parent, and the name within it.
///
/// # Errors
///
/// `Refused`, also for the export itself.
pub(super) fn parent_and_name(path: &str) -> Result<(Vec<&str>, &str), Cause> {
    let mut parts = components(path)?;
    match parts.pop() {
        Some(name) => Ok((parts, name)),
        None => Err(Cause::Refused("this is the export itself".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_its_names() {
        assert_eq!(components("").unwrap(), Vec::<&str>::new());
        assert_eq!(components("a").unwrap(), ["a"]);
        assert_eq!(components("a/b c/.d").unwrap(), ["a", "b c", ".d"]);
        assert_eq!(parent_and_name("a/b/c").unwrap(), (vec!["a", "b"], "c"));
        assert_eq!(parent_and_name("c").unwrap(), (vec![], "c"));
    }

    #[test]
    fn a_path_that_could_leave_the_export_is_refused() {
        let long = "n".repeat(256);
        for path in ["/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b", &long] {
            assert!(matches!(components(path), Err(Cause::Refused(_))), "{path:?}");
        }
        assert!(matches!(parent_and_name(""), Err(Cause::Refused(_))));
    }
}
