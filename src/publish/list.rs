//! The volumes that commands published on this node, durably: `published.json` in the state directory.
//!
//! ```text
//! {"version": 1, "volumes": ["assets", "site"]}
//! ```

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::PublishError;
use crate::{spec::VolumeName, sys::durable};

const VERSION: u32 = 1;

/// The list, as its file has it.
#[derive(Debug)]
pub(super) struct List {
    path: PathBuf,
    names: BTreeSet<VolumeName>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    volumes: BTreeSet<VolumeName>,
}

impl List {
    /// Reads it; without a file it is empty.
    pub(super) fn open(state_dir: &Path) -> Result<Self, PublishError> {
        let path = state_dir.join("published.json");
        match read(&path) {
            Ok(names) => Ok(Self { path, names }),
            Err(source) => Err(PublishError::List { path, source }),
        }
    }

    pub(super) fn names(&self) -> Vec<VolumeName> {
        self.names.iter().cloned().collect()
    }

    pub(super) fn add(&mut self, name: VolumeName) -> Result<(), PublishError> {
        let mut names = self.names.clone();
        names.insert(name);
        self.write(names)
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, name: &VolumeName) -> Result<bool, PublishError> {
        let mut names = self.names.clone();
        let was_there = names.remove(name);
        self.write(names).map(|()| was_there)
    }

    fn write(&mut self, names: BTreeSet<VolumeName>) -> Result<(), PublishError> {
        if names == self.names {
            return Ok(());
        }
        let file = File { version: VERSION, volumes: names };
        serde_json::to_vec(&file)
            .map_err(io::Error::other)
            .and_then(|text| durable::replace(&self.path, &text, 0o600))
            .map_err(|source| PublishError::List { path: self.path.clone(), source })?;
        self.names = file.volumes;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<BTreeSet<VolumeName>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let file: File = serde_json::from_slice(&text)?;
    if file.version != VERSION {
        let why =
            format!("it is of version {}, and this hawser reads version {VERSION}", file.version);
        return Err(io::Error::other(why));
    }
    Ok(file.volumes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_there_after_a_restart_and_in_the_form_of_version_1() {
        let dir = tempfile::tempdir().unwrap();
        let mut list = List::open(dir.path()).unwrap();
        list.add("site".parse().unwrap()).unwrap();
        list.add("assets".parse().unwrap()).unwrap();

        let text = fs::read_to_string(dir.path().join("published.json")).unwrap();
        assert_eq!(text, r#"{"version":1,"volumes":["assets","site"]}"#);
        let mut again = List::open(dir.path()).unwrap();
        assert_eq!(again.names().len(), 2);
        assert!(again.remove(&"site".parse().unwrap()).unwrap());
        assert!(!again.remove(&"site".parse().unwrap()).unwrap());
        assert_eq!(List::open(dir.path()).unwrap().names(), ["assets".parse().unwrap()]);
    }

    #[test]
    fn a_list_that_is_not_understood_is_an_error_and_not_empty() {
        let dir = tempfile::tempdir().unwrap();
        for text in
            ["", "{}", r#"{"version":2,"volumes":[]}"#, r#"{"version":1,"volumes":["a b"]}"#]
        {
            durable::replace(&dir.path().join("published.json"), text.as_bytes(), 0o600).unwrap();
            let error = List::open(dir.path()).unwrap_err().to_string();
            assert!(error.contains("published.json"), "{text}: {error}");
        }
    }
}
