//! Where a driver listens, found as Docker finds it (moby, pkg/plugins/discovery.go).

use std::{
    fs, io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::Deserialize;

const SOCKETS: &str = "/run/docker/plugins";
const SPECS: [&str; 2] = ["/etc/docker/plugins", "/usr/lib/docker/plugins"];

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    /// `HOST:PORT`, without TLS.
    Tcp(String),
}

/// A plugin's `.json`; its TLS settings are not for us.
#[derive(Debug, Deserialize)]
struct Description {
    #[serde(alias = "addr", alias = "ADDR")]
    #[serde(rename = "Addr")]
    address: String,
}

/// Where `driver` listens; `None` where nothing says so, yet.
///
/// # Errors
/// When what says so cannot be read.
pub(super) fn find(driver: &str) -> anyhow::Result<Option<Address>> {
    find_below(Path::new("/"), driver)
}

fn find_below(root: &Path, driver: &str) -> anyhow::Result<Option<Address>> {
    let plain = Path::new(driver).components().count() == 1 && !driver.contains(['/', '\0']);
    if !plain || driver == ".." || driver == "." {
        bail!(
            "`{driver}` is not the name of a driver with a socket; those of Docker's managed plugins are Docker's own"
        );
    }
    let below = |dir: &str| root.join(dir.trim_start_matches('/'));
    for socket in names(&below(SOCKETS), driver, "sock") {
        if fs::metadata(&socket).is_ok_and(|meta| meta.file_type().is_socket()) {
            return Ok(Some(Address::Unix(socket)));
        }
    }
    let files = SPECS.iter().flat_map(|dir| {
        ["spec", "json"].into_iter().flat_map(move |kind| names(&below(dir), driver, kind))
    });
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => return read(&file, &text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        }
    }
    Ok(None)
}

/// `DIR/NAME.KIND` and `DIR/NAME/NAME.KIND`.
fn names(dir: &Path, driver: &str, kind: &str) -> [PathBuf; 2] {
    let file = format!("{driver}.{kind}");
    [dir.join(&file), dir.join(driver).join(&file)]
}

fn read(file: &Path, text: &str) -> anyhow::Result<Address> {
    let url = if file.extension().is_some_and(|kind| kind == "json") {
        let description: Description = serde_json::from_str(text)
            .with_context(|| format!("cannot read {}", file.display()))?;
        description.address
    } else {
        text.trim().to_owned()
    };
    match url.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(Address::Unix(path.into())),
        Some(("tcp" | "http", host)) => Ok(Address::Tcp(host.trim_end_matches('/').to_owned())),
        _ => bail!(
            "{}: `{url}` is not reached from here, only unix:///PATH and tcp://HOST:PORT without TLS: use EMC's dvdcli for it",
            file.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A root directory with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::sys::durable::replace(&path, text.as_bytes(), 0o644).unwrap();
        }
        dir
    }

    #[test]
    fn a_socket_comes_before_a_file_that_names_one() {
        let dir = root(&[("etc/docker/plugins/v.spec", "tcp://other:1234\n")]);
        assert_eq!(find_below(dir.path(), "v").unwrap(), Some(Address::Tcp("other:1234".into())));
        let socket = dir.path().join("run/docker/plugins/v/v.sock");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(find_below(dir.path(), "v").unwrap(), Some(Address::Unix(socket)));
    }

    #[test]
    fn files_are_read_as_docker_reads_them() {
        let dir = root(&[
            ("etc/docker/plugins/a.spec", "unix:///run/a.sock\n"),
            ("usr/lib/docker/plugins/b/b.json", r#"{"Name": "x", "Addr": "http://h:80/"}"#),
            ("etc/docker/plugins/c.json", r#"{"Addr": "https://h:443"}"#),
            ("etc/docker/plugins/d.spec", "unix"),
            ("run/docker/plugins/e.sock", "no socket"),
        ]);
        let found = |driver| find_below(dir.path(), driver);
        assert_eq!(found("a").unwrap(), Some(Address::Unix("/run/a.sock".into())));
        assert_eq!(found("b").unwrap(), Some(Address::Tcp("h:80".into())));
        assert!(found("c").unwrap_err().to_string().contains("use EMC's dvdcli"));
        assert!(found("d").unwrap_err().to_string().contains("d.spec: `unix`"));
        assert_eq!(found("e").unwrap(), None);
        assert_eq!(found("f").unwrap(), None);
    }

    #[test]
    fn a_name_is_no_path() {
        for name in ["", ".", "..", "a/b", "../a", "/a"] {
            assert!(find(name).is_err(), "{name}");
        }
    }
}
