//! A world whose volumes are on NFS: a real server of its own beside the daemon.

use std::{fs, path::PathBuf};

use ganesha::{Filesystem, Options, Server};

use super::{World, on_nfs};

impl World {
    /// A daemon with an export called `fast`, which is its default; not started yet.
    #[track_caller]
    pub(crate) fn on_nfs() -> Self {
        // Sparse: the size costs nothing.
        let filesystem = Filesystem::Ext4(8192);
        Self::on_filer(Options { filesystem, ..Options::default() })
    }

    /// The same with a server of the test's own making.
    #[track_caller]
    pub(crate) fn on_filer(options: Options) -> Self {
        let mut world = Self::new();
        world.start_filer(options);
        world
    }

    /// Starts an NFS server in this world's directory.
    #[track_caller]
    pub(crate) fn start_filer(&mut self, options: Options) {
        let export = self.path("export");
        fs::create_dir(&export).unwrap();
        let server = Server::start(&export, options);
        for (key, value) in on_nfs::settings(&server) {
            self.set(key, &value);
        }
        self.filer = Some(server);
    }

    /// The NFS server.
    #[track_caller]
    pub(crate) fn filer(&mut self) -> &mut Server {
        self.filer.as_mut().expect("this world has an NFS server")
    }

    /// A file on the server's disk.
    pub(crate) fn on_export(&self, path: &str) -> PathBuf {
        self.path("export").join(path)
    }

    /// The volumes' directories on the server's disk: those that are not hawser's own.
    pub(crate) fn exported(&self) -> Vec<String> {
        let mut names = self.names_on_export("");
        names.retain(|name| name != "lost+found" && !name.starts_with(".hawser"));
        names
    }

    /// The names in a directory on the server's disk; none where it is absent.
    pub(crate) fn names_on_export(&self, dir: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.on_export(dir)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
