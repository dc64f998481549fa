//! The image files that are there, by their names: for checks that must change nothing, and so must
//! not open the backend.

use std::{collections::HashSet, io, path::Path};

use crate::volume::VolumeId;

/// The volumes that have an image in that directory. None where there is no such directory.
///
/// # Errors
///
/// When it cannot be read: then nothing is known, which is not "none".
pub(super) fn images_in(dir: &Path) -> io::Result<HashSet<VolumeId>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut found = HashSet::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(
            name.to_str().and_then(|name| name.strip_suffix(".img")?.parse::<VolumeId>().ok()),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_names_and_a_directory_that_is_not_there_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let id = VolumeId::random();
        for name in [format!("{id}.img"), format!("{id}.img.new"), "disk.img".into(), "x".into()] {
            std::fs::File::create(dir.path().join(name)).unwrap();
        }
        assert_eq!(images_in(dir.path()).unwrap(), HashSet::from([id]));
        assert_eq!(images_in(&dir.path().join("absent")).unwrap(), HashSet::new());
        assert!(images_in(&dir.path().join("x")).is_err());
    }
}
