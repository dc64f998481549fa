//! I/O errors that name the operation and the path, and still know their errno.
//!
//! `io::Error::new(kind, message)` forgets the errno, and `ErrorKind` has no name for the codes
//! that matter here (`EIO`, `EUCLEAN`, `ENXIO`). Hence: wrap with [`on`], classify with [`of`].

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

#[derive(Debug)]
struct AtPath {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for AtPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path.display(), self.source)
    }
}

impl std::error::Error for AtPath {
    // The message already holds the source's text, so the chain goes on below it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// For `map_err`: names the operation and the path, keeps kind and errno.
pub fn on<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> io::Error {
    move |error| {
        let source = error.into();
        io::Error::new(source.kind(), AtPath { operation, path: path.to_owned(), source })
    }
}

/// The errno of an error, through any number of wrappings by [`on`].
#[must_use]
pub fn of(error: &io::Error) -> Option<Errno> {
    if let Some(raw) = error.raw_os_error() {
        return Some(Errno::from_raw_os_error(raw));
    }
    of(&error.get_ref()?.downcast_ref::<AtPath>()?.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_error_names_its_path_and_keeps_its_errno() {
        let error = on("open", Path::new("/dev/x"))(on("read", Path::new("/y"))(Errno::IO));

        assert_eq!(error.to_string(), "open /dev/x: read /y: Input/output error (os error 5)");
        assert_eq!(of(&error), Some(Errno::IO));
        assert_eq!(of(&io::Error::other("no errno")), None);
    }
}
