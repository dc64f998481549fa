//! `hawser serve`: the daemon, from its configuration to its orderly end.

use std::{
    io::IsTerminal,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use listenfd::ListenFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::{
    Exit, backends,
    cluster::{self, Opened},
    config::Source,
    images::images_in,
};
use crate::{
    cluster::Embedded,
    config::{Config, LogFormat},
    engine::{Engine, Host},
    http::{
        admin,
        docker::{self, Driver},
        peer,
        socket::Socket,
    },
    publish::Published,
    sys::unix_socket::SocketError,
    volume::Record,
};

/// How long steps under way may take at exit, after the requests. `docker plugin disable` kills 10 s
/// after it asked to stop.
const STEPS: Duration = Duration::from_secs(4);

/// How long whoever starts after hawser (the unit's `Before=`) waits for published volumes at most. Requests are served meanwhile.
const PUBLISHING: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the records are kept
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where volumes are mounted
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The socket for Docker; its file name is the driver's name
    #[arg(long, value_name = "PATH")]
    docker_socket: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

pub(super) async fn run(args: Args, admin_socket: &Path) -> anyhow::Result<Exit> {
    let mut values = args.source.values()?;
    let options = [
        ("daemon.state_dir", args.state_dir.as_deref()),
        ("daemon.root", args.root.as_deref()),
        ("daemon.docker_socket", args.docker_socket.as_deref()),
    ];
    for (key, path) in options {
        if let Some(path) = path {
            values.add_option(key, &path.to_string_lossy());
        }
    }
    if admin_socket != Path::new("/run/hawser/admin.sock") {
        values.add_option("daemon.admin_socket", &admin_socket.to_string_lossy());
    }
    let config = match Config::read(values) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(Exit::Usage);
        }
    };
    start_log(&config)?;
    serve(config).await?;
    Ok(Exit::Success)
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter: EnvFilter = config.log.parse()?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before the sockets: a signal that comes in between must not leave their files behind.
    let mut signals = Signals::new()?;
    // The store first: its lock keeps a second daemon away from everything else.
    let (copy, records) = open_store(&config)?;
    std::fs::create_dir_all(&config.root)
        .with_context(|| format!("cannot make {}", config.root.display()))?;
    // Bound before the records are at work: requests wait in the socket, and Docker is not told
    // "connection refused" while the daemon starts.
    make_private(config.run_dir())?;
    // REX-Ray's first: where that fails, nobody has seen a daemon that answers.
    let rexray_socket = config.rexray_socket.as_deref().map(bind_as_rexray).transpose()?;
    let (docker_socket, admin_socket) = bind(&config)?;
    let host = open_host(&config)?;
    host.prepare(config.root_kind)
        .with_context(|| format!("cannot prepare {} for mounts", config.root.display()))?;
    let Opened { keeper, neighbours, sharing, port } = cluster::open(&config, &host, copy).await?;
    let store = keeper.clone();
    let settings = config.engine.clone();
    let engine = Engine::start(settings, keeper, records, host, neighbours, sharing).await?;

    let published = Published::open(engine.clone(), config.publish.clone(), &config.state_dir)?;

    let stop = CancellationToken::new();
    let callers = engine.callers().clone();
    let serve_driver = |socket: Socket, driver| {
        let router = docker::router(engine.clone(), driver);
        tokio::spawn(socket.serve(router, callers.clone(), stop.clone()))
    };
    let docker = serve_driver(docker_socket, Driver::Hawser);
    let rexray = rexray_socket.map(|socket| serve_driver(socket, Driver::Rexray));
    let admin_router = admin::router(engine.clone(), published.clone());
    let admin = admin_socket.serve(admin_router, callers.clone(), stop.clone());
    let admin = tokio::spawn(admin);
    let peers =
        port.map(|port| tokio::spawn(port.serve(peer::router(engine.clone()), stop.clone())));
    let every = config.engine.sweep;
    let keeping = tokio::spawn(published.clone().keep(every, stop.clone()));
    tokio::select! {
        () = ready(&config, &published) => signals.wait().await,
        () = signals.wait() => {}
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping; mounted volumes stay mounted");
    stop.cancel();
    docker.await?;
    admin.await?;
    keeping.await?;
    for door in [rexray, peers].into_iter().flatten() {
        door.await?;
    }
    engine.stop(STEPS).await;
    store.close().await;
    Ok(())
}

/// Says so, once whoever starts after this daemon finds what is published.
async fn ready(config: &Config, published: &Published) {
    published.first_tried(PUBLISHING).await;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        docker = %config.docker_socket.display(),
        admin = %config.admin_socket.display(),
        "ready"
    );
    // Not under systemd there is nobody to notify.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// The store, and its records. Refused where images show that the records of this node are elsewhere:
/// on a disk that is not mounted, say. Docker would forget every volume that is not known here.
fn open_store(config: &Config) -> anyhow::Result<(Embedded, Vec<Record>)> {
    let (state, images) = (&config.state_dir, &config.local.dir);
    if !Embedded::exists(state)? {
        // Before an empty store is made in the place of the lost one.
        ensure_no_images(state, images)?;
    }
    make_private(state)?;
    let (store, records) = Embedded::open(state)?;
    if records.is_empty() {
        ensure_no_images(state, images)?;
    }
    Ok((store, records))
}

/// Makes a directory that is root's alone, where there is none. Not left to the unit: older systemds know no
/// `StateDirectory=`, and take a `RuntimeDirectory=` away at each restart.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot make {}", dir.display()))
}

fn ensure_no_images(state: &Path, dir: &Path) -> anyhow::Result<()> {
    let images = images_in(dir)
        .with_context(|| format!("cannot read the image directory {}", dir.display()))?;
    if images.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "there are no records in {state}, and {count} images in {dir}: nothing was changed. Is the disk of {state} mounted? Restore records.redb, or import an export of it (`hawser store import`); to start without these volumes, move the images away",
        state = state.display(),
        count = images.len(),
        dir = dir.display(),
    )
}

/// This node's hands, with every backend; nothing is mounted or changed by it.
pub(super) fn open_host(config: &Config) -> anyhow::Result<Host> {
    Ok(Host::new(config.root.clone(), backends::open(config)?))
}

/// The two sockets; those that systemd passes by the names `docker` and `admin` are used.
fn bind(config: &Config) -> anyhow::Result<(Socket, Socket)> {
    let mut passed = ListenFd::from_env();
    let names = match std::env::var("LISTEN_FDNAMES") {
        Ok(names) => names,
        // Before version 227 systemd has no names; `hawser.socket` is Docker's.
        Err(_) if passed.len() == 1 => "docker".to_owned(),
        Err(_) => String::new(),
    };
    let mut take = |name: &str| -> anyhow::Result<Option<Socket>> {
        let Some(index) = names.split(':').position(|passed| passed == name) else {
            return Ok(None);
        };
        let listener = passed.take_unix_listener(index)?;
        listener.map(Socket::inherited).transpose().context("cannot use systemd's socket")
    };
    let docker = match take("docker")? {
        Some(socket) => socket,
        None => Socket::bind(&config.docker_socket)?,
    };
    let admin = match take("admin")? {
        Some(socket) => socket,
        None => Socket::bind(&config.admin_socket)?,
    };
    Ok((docker, admin))
}

/// REX-Ray's own socket. Never one that systemd made: systemd takes the file away from whoever has it, and
/// REX-Ray, if it still runs, would go on unseen with volumes attached.
fn bind_as_rexray(path: &Path) -> anyhow::Result<Socket> {
    Socket::bind(path).map_err(|error| match error {
        SocketError::Live(path) => anyhow::anyhow!(
            "REX-Ray still runs: somebody answers on {}. Stop it and keep it from starting (`systemctl disable --now dcos-rexray` on DC/OS, `rexray` elsewhere), or take daemon.rexray_socket out of the settings",
            path.display()
        ),
        error @ (SocketError::NotASocket(_) | SocketError::Io { .. }) => error.into(),
    })
}

/// The signals that end the daemon in order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
