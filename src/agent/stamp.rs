//! What the running service was started with: written once it answers. So an install that failed or was cut
//! off is not taken for a finished one. The form is that of sha256sum(1).

use std::{fs, io};

use ring::digest::{SHA256, digest};

use super::{AgentError, File, Place};
use crate::sys::durable;

/// A line for each file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stamp(String);

impl Stamp {
    pub(super) fn of(files: &[File]) -> Self {
        Self(files.iter().map(line).collect())
    }

    /// None where no install was finished.
    pub(super) fn read(place: &Place) -> Result<Option<Self>, AgentError> {
        let path = place.stamp();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AgentError::File { path, source }),
        }
    }

    /// Whether the service runs with just that.
    pub(super) fn has(&self, file: &File) -> bool {
        self.0.contains(&line(file))
    }

    pub(super) fn write(&self, place: &Place) -> Result<(), AgentError> {
        let path = place.stamp();
        durable::replace(&path, self.0.as_bytes(), 0o644)
            .map_err(|source| AgentError::File { path, source })
    }
}

fn line(file: &File) -> String {
    format!("{}  {}\n", hex::encode(digest(&SHA256, &file.contents)), file.path.display())
}
