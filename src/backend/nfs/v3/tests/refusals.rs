//! Servers that refuse, each for its reason, and that the reason is told.

use std::io::Write;

use ganesha::{Access, Filesystem, Protocols, SourcePorts, Squash};

use super::*;

#[tokio::test]
async fn a_read_only_export_is_said_to_be_one() {
    let filer = Filer::with(Options { access: Access::ReadOnly, ..Options::default() });
    let tree = filer.open();
    fs::create_dir(filer.local("a")).unwrap();
    put(filer.local("a/f"), "x");
    tree.probe().await.unwrap();
    assert_eq!(tree.read("a/f", 10).await.unwrap().unwrap(), b"x");
    assert!(matches!(cause(tree.make_dir("b", 0o700).await), Cause::ReadOnly));
    assert_eq!(tree.make_dir("a", 0o700).await.unwrap(), Made::Present);
    assert!(matches!(cause(tree.write("a/f", b"y").await), Cause::ReadOnly));
    assert!(matches!(cause(tree.rename("a", "b").await), Cause::ReadOnly));
    assert!(matches!(cause(tree.remove_tree("a").await), Cause::ReadOnly));
    let owner = Owner { uid: Some(1), ..Owner::default() };
    assert!(matches!(cause(tree.set_owner("a", owner).await), Cause::ReadOnly));
    assert_eq!(fs::read(filer.local("a/f")).unwrap(), b"x");
}

#[tokio::test]
async fn a_full_export_keeps_the_old_file() {
    let filer = Filer::with(Options { filesystem: Filesystem::Ext4(16), ..Options::default() });
    let tree = filer.open();
    tree.write("f", b"old").await.unwrap();
    let mut ballast = fs::File::create(filer.local("ballast")).unwrap();
    while ballast.write_all(&[7; 4096]).and_then(|()| ballast.sync_data()).is_ok() {}
    assert!(matches!(cause(tree.write("f", &[7; 200_000]).await), Cause::Full(_)));
    assert_eq!(tree.read("f", 10).await.unwrap().unwrap(), b"old");
    assert_eq!(tree.list("").await.unwrap().len(), 2, "a temporary file was left behind");
    let full = async {
        for n in 0..5000 {
            tree.make_dir(&format!("directory-{n}"), 0o700).await?;
        }
        Ok(())
    };
    assert!(matches!(cause(full.await), Cause::Full(_)));
    drop(ballast);
    tree.remove_tree("ballast").await.unwrap();
    tree.write("f", b"new").await.unwrap();
}

#[tokio::test]
async fn a_server_that_squashes_root_is_named() {
    let filer = Filer::with(Options { squash: Squash::Root, ..Options::default() });
    let tree = filer.open();
    tree.probe().await.unwrap();
    let text = tree.make_dir("a", 0o700).await.unwrap_err().to_string();
    assert!(text.contains("no_root_squash"), "{text}");

    // Where everybody may write, it lets nobody make it and give it away.
    rustix::fs::chmod(filer.server.export(), rustix::fs::Mode::from(0o1777)).unwrap();
    tree.make_dir("a", 0o700).await.unwrap();
    let owner = Owner { uid: Some(1000), ..Owner::default() };
    assert!(matches!(cause(tree.set_owner("a", owner).await), Cause::Denied(_)));
    fs::create_dir(filer.local("roots")).unwrap();
    rustix::fs::chmod(filer.local("roots"), rustix::fs::Mode::RWXU).unwrap();
    assert!(matches!(cause(tree.list("roots").await), Cause::Denied(_)));
    assert!(matches!(cause(tree.write("roots/f", b"x").await), Cause::Denied(_)));
}

#[tokio::test]
async fn calls_are_made_as_the_configured_user() {
    use std::os::unix::fs::MetadataExt;
    let filer = Filer::new();
    let server = filer.server.export();
    rustix::fs::chown(server, None, Some(rustix::fs::Gid::from_raw(555))).unwrap();
    rustix::fs::chmod(server, rustix::fs::Mode::from(0o770)).unwrap();
    let stranger = ServerConfig { uid: 1000, gid: 1000, ..filer.config() };
    let member = ServerConfig { gids: vec![555], ..stranger.clone() };
    assert!(matches!(cause(NfsV3::new(stranger).make_dir("a", 0o700).await), Cause::Denied(_)));
    NfsV3::new(member).make_dir("a", 0o700).await.unwrap();
    assert_eq!(fs::metadata(filer.local("a")).unwrap().uid(), 1000);
}

#[tokio::test]
async fn an_export_that_does_not_exist_is_named() {
    let filer = Filer::new();
    let config = ServerConfig { export: "/no/such/export".into(), ..filer.config() };
    let error = NfsV3::new(config).make_dir("a", 0o700).await.unwrap_err();
    assert!(matches!(error.cause, Cause::NoExport(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "make the directory localhost:/no/such/export/a: the server does not give this node the \
         export: MNT3ERR_ACCES; compare the path and this node's address with the server's exports \
         (showmount -e)"
    );
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_unreachable_at_once() {
    let filer = Filer::new();
    let config = ServerConfig { port: Some(1), ..filer.config() };
    let begun = std::time::Instant::now();
    assert!(matches!(cause(NfsV3::new(config.clone()).probe().await), Cause::Unreachable(_)));
    let config = ServerConfig { mount_port: Some(1), ..config };
    assert!(matches!(cause(NfsV3::new(config).probe().await), Cause::Unreachable(_)));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_host_without_an_address_is_unreachable() {
    let filer = Filer::new();
    let config = ServerConfig { host: "filer.invalid".into(), ..filer.config() };
    let cause = cause(NfsV3::new(config).probe().await);
    assert!(matches!(&cause, Cause::Unreachable(why) if why.contains("filer.invalid")), "{cause}");
}

#[tokio::test]
async fn a_server_that_wants_a_privileged_port_gets_one() {
    let source_ports = SourcePorts::Privileged;
    let filer = Filer::with(Options { source_ports, ..Options::default() });
    assert!(matches!(
        cause(filer.open().make_dir("a", 0o700).await),
        Cause::Denied(_) | Cause::NoExport(_)
    ));
    for host in ["127.0.0.1", "::1"] {
        let host = host.into();
        let config = ServerConfig { privileged_port: true, host, ..filer.config() };
        let tree = NfsV3::new(config);
        // Four connections to one server: each from a port of its own.
        let paths: Vec<String> = (0..20).map(|n| format!("{n}")).collect();
        let mut running = tokio::task::JoinSet::new();
        for path in paths {
            let tree = tree.clone();
            running.spawn(async move { tree.make_dir(&path, 0o700).await });
        }
        for made in running.join_all().await {
            made.unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_of_version_4_alone_is_told_from_one_of_version_3() {
    let filer = Filer::with(Options { protocols: Protocols::V4, ..Options::default() });
    let (config, port) = (filer.config(), filer.server.port());
    null(&config, port, NfsVersion::V4, short()).await.unwrap();
    let refused = null(&config, port, NfsVersion::V3, short()).await;
    assert!(matches!(cause(refused), Cause::Protocol(_)));

    let filer = Filer::with(Options { protocols: Protocols::V3, ..Options::default() });
    let (config, port) = (filer.config(), filer.server.port());
    null(&config, port, NfsVersion::V3, short()).await.unwrap();
    let refused = null(&config, port, NfsVersion::V4, short()).await;
    assert!(matches!(cause(refused), Cause::Protocol(_)));
    assert!(matches!(
        cause(null(&config, 1, NfsVersion::V3, short()).await),
        Cause::Unreachable(_)
    ));
}
