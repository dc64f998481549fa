//! NFS volumes under a real Docker engine, as far as this kernel goes: where it has no NFS client, no
//! container gets anything else in the volume's place. Mounted ones are in `tests/lab`.

use std::fs;

use ganesha::{Filesystem, Options, Server};

use crate::harness::{LiveRestore, PATIENCE, World, eventually, on_nfs};

struct Filer {
    server: Server,
    dir: tempfile::TempDir,
}

impl Filer {
    #[track_caller]
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let filesystem = Filesystem::Ext4(1024);
        let server = Server::start(dir.path(), Options { filesystem, ..Options::default() });
        Self { server, dir }
    }

    #[track_caller]
    fn world(&self) -> World {
        let settings = on_nfs::settings(&self.server);
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        World::with(LiveRestore::No, &settings)
    }

    fn has(&self, path: &str) -> bool {
        self.dir.path().join(path).exists()
    }
}

#[test]
fn docker_volume_create_makes_a_directory_and_rm_deletes_it() {
    let filer = Filer::start();
    let world = filer.world();
    world.create_volume(&["--opt=size=100MiB", "--opt=uid=999", "--opt=path=team/pg", "pg"]);
    assert!(filer.has("team/pg/data"));
    assert_eq!(world.inspect("pg", "Status.fs"), "nfs");
    assert_eq!(world.inspect("pg", "Status.backend"), "nfs");

    let error = world.create_volume_err(&["--opt=size=100TiB", "big"]);
    assert!(error.contains("is free on"), "{error}");
    let error = world.create_volume_err(&["--opt=exprot=fast", "typo"]);
    assert!(error.contains("export"), "the nearest key is named: {error}");
    world.engine.run_ok(&["volume", "rm", "pg"]);
    eventually("it is deleted", PATIENCE, || !filer.has("team/pg"));
    world.finish();
}

#[test]
fn without_a_kernel_client_no_container_starts_and_nothing_is_written_elsewhere() {
    let filer = Filer::start();
    let world = filer.world();
    let error = world.try_sh("name=pg,size=100MiB", "echo lost > /data/file").err();
    let client = fs::read_to_string("/proc/filesystems").unwrap().contains("nfs");
    // With a client, Ganesha's NFSv4 path is another one, and NFSv3 has no lock manager here.
    let reason = if client { "mount" } else { "this kernel has no NFS client" };
    assert!(error.contains(reason), "{error}");
    assert!(filer.has("pg/data"), "the inline spec made it");
    let data = filer.dir.path().join("pg/data");
    assert_eq!(fs::read_dir(data).unwrap().count(), 0);
    world.finish();
}
