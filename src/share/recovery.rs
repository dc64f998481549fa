//! Who the clients of a volume's server were, as Ganesha notes it for the next server.
//!
//! ```text
//! <recovery>/v4recov/node0/::ffff:127.0.0.1-(21:Linux NFSv4.2 node-a)    a directory, and empty
//!            v4old/node0/…                                              of the server before, until grace ends
//! ```
//! A new server waits for all of them, up to the whole grace period. One that will not come back costs
//! that time for everybody: above all the new owner itself, which was a client a moment ago.
//!
//! It lies beside what tasks see. But a volume may come from a snapshot or from another plugin, whose tasks
//! wrote there: Ganesha and hawser follow links, make and delete directories, and both are root. So every
//! level of it is looked at before they do.

use std::{fs, io, os::unix::fs::DirBuilderExt, path::Path};

use rustix::io::Errno;

use crate::sys::errno;

/// What Ganesha would make itself.
const MADE: [&str; 5] = ["", "v4recov", "v4recov/node0", "v4old", "v4old/node0"];

/// Makes the directory with all that a server makes in it, which then needs no room for that.
///
/// # Errors
/// With the path: where it cannot be made, and where a link is in the place of one.
pub fn make(recovery: &Path) -> io::Result<()> {
    for below in MADE {
        let path = if below.is_empty() { recovery.to_owned() } else { recovery.join(below) };
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(errno::on("create", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        if !fs::symlink_metadata(&path).map_err(errno::on("look at", &path))?.is_dir() {
            return Err(refused(&path));
        }
    }
    refuse_links(recovery)
}

/// Nothing is changed where one of them is.
fn refuse_links(recovery: &Path) -> io::Result<()> {
    let mut directories = vec![recovery.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in entries(&directory)? {
            let kind = entry.file_type().map_err(errno::on("look at", &entry.path()))?;
            if kind.is_symlink() {
                return Err(refused(&entry.path()));
            }
            if kind.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(())
}

fn refused(path: &Path) -> io::Error {
    let why = "what notes who its clients are is no directory (a link is none), and nothing is written through \
               it: a task of another system made it; delete it, or move it away";
    errno::on("use", path)(io::Error::new(io::ErrorKind::NotADirectory, why))
}

/// Removes the notes of the client of this host name: how many there were. The server must not run.
///
/// Only for a node that has no mount of the volume any more: a client without a note loses its locks.
///
/// # Errors
/// With the path. What is not there is not missed.
pub fn forget_client(recovery: &Path, host: &str) -> io::Result<usize> {
    forget(recovery, |note| is_of(note, host))
}

/// The same of all clients: none of them comes back.
///
/// # Errors
/// As [`forget_client`].
pub fn forget_clients(recovery: &Path) -> io::Result<usize> {
    forget(recovery, |_| true)
}

fn forget(recovery: &Path, is_gone: impl Fn(&str) -> bool) -> io::Result<usize> {
    match fs::symlink_metadata(recovery) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Ok(found) if !found.is_dir() => return Err(refused(recovery)),
        Ok(_) => refuse_links(recovery)?,
        Err(error) => return Err(errno::on("look at", recovery)(error)),
    }
    let mut forgotten = 0;
    for kind in ["v4recov", "v4old"] {
        for node in entries(&recovery.join(kind))? {
            for note in entries(&node.path())? {
                if is_gone(&note.file_name().to_string_lossy()) {
                    fs::remove_dir(note.path()).map_err(errno::on("remove", &note.path()))?;
                    forgotten += 1;
                }
            }
        }
    }
    Ok(forgotten)
}

/// The kernel's name for itself is `Linux NFSv4.2 ` and its host name. One that was given an identifier
/// (`nfs4_unique_id`) has a slash in it, is noted as a number, and not known here: it is waited for.
fn is_of(note: &str, host: &str) -> bool {
    let name = note.strip_suffix(')').and_then(|note| note.strip_suffix(host));
    name.is_some_and(|before| before.contains(":Linux NFSv4.") && before.ends_with(' '))
}

fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let listed = fs::read_dir(directory).and_then(Iterator::collect);
    match listed {
        Err(error) if matches!(errno::of(&error), Some(Errno::NOENT | Errno::NOTDIR)) => {
            Ok(Vec::new())
        }
        listed => listed.map_err(errno::on("list", directory)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_notes_of_one_host_go_and_those_of_all_others_stay() {
        let recovery = tempfile::tempdir().unwrap();
        let path = |note: &str| recovery.path().join(note);
        assert_eq!(forget_client(recovery.path(), "a").unwrap(), 0);
        let of_a = [
            "v4recov/node0/::ffff:127.0.0.1-(15:Linux NFSv4.2 a)",
            "v4old/node0/::ffff:127.0.0.1-(15:Linux NFSv4.1 a)",
        ];
        let of_others = [
            "v4recov/node0/::ffff:127.0.0.1-(16:Linux NFSv4.2 ba)",
            "v4recov/node0/::ffff:127.0.0.1-(16:Linux NFSv4.2 ab)",
            "v4recov/node0/::ffff:127.0.0.1-(17:Linux NFSv4.2 b-a)",
            "v4old/node0/another a)",
        ];
        for note in of_a.iter().chain(&of_others) {
            fs::create_dir_all(path(note)).unwrap();
        }

        assert_eq!(forget_client(recovery.path(), "a").unwrap(), 2);

        assert!(of_a.iter().all(|note| !path(note).exists()));
        assert!(of_others.iter().all(|note| path(note).exists()));

        assert_eq!(forget_clients(recovery.path()).unwrap(), of_others.len());
        assert!(!of_others.iter().any(|note| path(note).exists()));
    }

    #[test]
    fn what_is_made_is_there_and_no_link_is_followed_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let (recovery, outside) = (dir.path().join("notes"), dir.path().join("outside"));
        let note = "::ffff:127.0.0.1-(15:Linux NFSv4.2 a)";
        fs::create_dir_all(outside.join("node0").join(note)).unwrap();
        make(&recovery).unwrap();
        make(&recovery).unwrap();
        for level in ["v4old", "v4recov/node0", "v4recov/node0/a client"] {
            let link = recovery.join(level);
            let _ = fs::remove_dir_all(&link);
            symlink(
                if level == "v4recov/node0" { outside.join("node0") } else { outside.clone() },
                &link,
            )
            .unwrap();

            for error in [make(&recovery).unwrap_err(), forget_client(&recovery, "a").unwrap_err()]
            {
                assert!(error.to_string().contains(level), "{error}");
            }

            assert!(outside.join("node0").join(note).exists(), "{level}");
            fs::remove_file(&link).unwrap();
            make(&recovery).unwrap();
        }
        symlink(&recovery, dir.path().join("link")).unwrap();
        assert!(forget_client(&dir.path().join("link"), "a").is_err());
    }
}
