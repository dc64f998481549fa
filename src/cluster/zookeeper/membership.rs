//! The task that keeps this node in the cluster: connects for ever, goes on with its session or begins
//! a new one, says that it lives, and follows the others.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::sleep};
use uuid::Uuid;

use super::{
    CLUSTER_ID, ZooKeeperConfig,
    connection::{Connection, Failure, Opening},
    follow::Follower,
    layout::{FORMAT, Subject},
    session::{SessionFile, Ticket},
    shared::Shared,
    wire::{ANY, Access, Code, Life, Op},
};
use crate::{
    cluster::{NodeInfo, StoreHealth},
    sys::durable,
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often the same trouble is said again.
const REMINDER: Duration = Duration::from_secs(60);
/// How often it is looked whether a name that is taken is free.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Membership {
    shared: Arc<Shared>,
    config: ZooKeeperConfig,
    file: SessionFile,
    ticket: Option<Ticket>,
    seen: Arc<AtomicI64>,
    follower: Follower,
    said: Option<(String, Instant)>,
}

/// Why this node is not in the cluster, or not any more.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error("no server of the ensemble answers: {0}")]
    NoServer(String),
    #[error(
        "its layout is format {0} and this hawser reads format {FORMAT}: run the same version of hawser on all nodes, or give this cluster another chroot"
    )]
    Format(String),
    #[error(
        "it is the store of another cluster ({found}; this node's records are of {known}): it was wiped, or cluster.zookeeper names another one. Nothing was changed. Restore it; or, to bring this node's volumes into it, delete {file} and start hawser again"
    )]
    OtherCluster { found: Uuid, known: String, file: String },
    #[error("which cluster this node belongs to cannot be kept: {0}")]
    Identity(#[from] io::Error),
}

type Events = mpsc::UnboundedReceiver<String>;

impl Membership {
    pub(super) fn new(shared: Arc<Shared>, config: ZooKeeperConfig) -> Self {
        let file = SessionFile::new(&config.state_dir, &shared.name, &shared.info());
        let ticket = file.read();
        let follower = Follower::new(Arc::clone(&shared));
        Self { shared, config, file, ticket, seen: Arc::default(), follower, said: None }
    }

    /// For ever.
    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let (obstacle, since) = match self.connect().await {
                Ok((connection, mut events)) => {
                    let obstacle = self.take_part(&connection, &mut events).await;
                    (obstacle, connection.heard())
                }
                Err(obstacle) => (obstacle, begun),
            };
            if *self.shared.health.borrow() == StoreHealth::Answers {
                pause = FIRST_PAUSE;
            }
            self.shared.away(since, obstacle.to_string());
            self.forget_the_past();
            self.say(&obstacle.to_string());
            sleep(jittered(pause)).await;
            // So short that a session is not over only because nobody tried.
            pause = (pause * 2).min(LONGEST_PAUSE).min(self.config.session_timeout / 4);
        }
    }

    /// A server that has less than what was seen here refuses to serve, so that nobody goes back in
    /// time. An ensemble that was restored has less for ever. Once the session is over it is safe to
    /// begin anew: everything is read again then, from a server that was brought up to date.
    fn forget_the_past(&mut self) {
        if let StoreHealth::Away { since } = *self.shared.health.borrow()
            && since.elapsed() > self.config.session_timeout * 2
        {
            self.seen.store(0, Ordering::Relaxed);
            // Also where the restored server still knows the session.
            self.follower.forget();
        }
    }

    /// Says why this node is not in the cluster: when it is new, and each minute.
    fn say(&mut self, trouble: &str) {
        let is_old = |(said, at): &(String, Instant)| said == trouble && at.elapsed() < REMINDER;
        if !self.said.as_ref().is_some_and(is_old) {
            tracing::error!(store = %self.shared.name, "this node is not in the cluster: {trouble}");
            self.said = Some((trouble.to_owned(), Instant::now()));
        }
    }

    /// The first server that answers, with the session that there was, or a new one.
    async fn connect(&mut self) -> Result<(Arc<Connection>, Events), Obstacle> {
        let mut addresses: Vec<String> =
            self.config.ensemble.split(',').map(|server| with_port(server.trim())).collect();
        addresses.sort_by_cached_key(|_| Uuid::new_v4());
        let mut reasons = Vec::new();
        for address in addresses {
            match self.open(&address).await {
                Ok(Some((connection, events))) => return Ok((Arc::new(connection), events)),
                Ok(None) => reasons.push(format!("{address}: it does not begin a session")),
                Err(failure) => reasons.push(format!("{address}: {failure}")),
            }
        }
        Err(Obstacle::NoServer(reasons.join("; ")))
    }

    async fn open(&mut self, address: &str) -> Result<Option<(Connection, Events)>, Failure> {
        if let Some(ticket) = &self.ticket {
            if let Some(opened) = Connection::open(self.opening(address, Some(ticket))).await? {
                return Ok(Some(opened));
            }
            tracing::warn!(?ticket, store = %self.shared.name, "the session with the store is over: a new one begins");
            self.ticket = None;
        }
        let opened = Connection::open(self.opening(address, None)).await?;
        if let Some((connection, _)) = &opened {
            self.follower.forget();
            self.ticket = Some(connection.ticket.clone());
            // Before anything depends on the session.
            if let Err(error) = self.file.write(&connection.ticket) {
                tracing::warn!(%error, "the session cannot be kept: a restart of hawser will be taken for a death of this node");
            }
        }
        Ok(opened)
    }

    fn opening<'a>(&'a self, address: &'a str, ticket: Option<&'a Ticket>) -> Opening<'a> {
        Opening {
            address,
            ticket,
            session_timeout: self.config.session_timeout,
            digest: self.config.digest.as_deref(),
            seen: &self.seen,
        }
    }

    /// Is in the cluster, until the connection ends.
    async fn take_part(&mut self, connection: &Arc<Connection>, events: &mut Events) -> Obstacle {
        match self.come_in(connection).await {
            Ok(()) => {}
            Err(obstacle) => return obstacle,
        }
        self.shared.found(Arc::clone(connection));
        self.said = None;
        tracing::info!(store = %self.shared.name, session = ?connection.ticket, "in the cluster");
        match self.follower.follow(connection, events).await {
            Ok(()) => Obstacle::Failure(Failure::Lost(connection.why())),
            Err(failure) => failure.into(),
        }
    }

    async fn come_in(&mut self, connection: &Connection) -> Result<(), Obstacle> {
        self.check_format(connection).await?;
        self.live(connection).await?;
        self.register(connection).await?;
        Ok(self.follower.meet(connection).await?)
    }

    async fn check_format(&self, connection: &Connection) -> Result<(), Obstacle> {
        let path = self.shared.layout.format();
        let found = match connection.get_newest(&path).await? {
            Some((data, _)) => data,
            None => {
                for parent in self.shared.layout.parents() {
                    connection.ensure(&parent, Access::Everybody).await?;
                }
                for directory in self.shared.layout.directories() {
                    connection.ensure(&directory, connection.access).await?;
                }
                // The last of all: what has a format is complete.
                let format = format!("{FORMAT} {}", Uuid::new_v4()).into_bytes();
                match connection.create(&path, &format, Life::Persistent).await {
                    Ok(()) => format,
                    Err(Failure::Refused(Code::NodeExists)) => connection
                        .get_newest(&path)
                        .await?
                        .map(|(data, _)| data)
                        .unwrap_or_default(),
                    Err(failure) => return Err(failure.into()),
                }
            }
        };
        let found = String::from_utf8_lossy(&found);
        let parts = found.split_once(' ').and_then(|(format, id)| Some((format, id.parse().ok()?)));
        match parts {
            Some((format, id)) if format == FORMAT.to_string() => self.check_cluster(id),
            Some(_) | None => Err(Obstacle::Format(found.into_owned())),
        }
    }

    /// Records that are not there were deleted, unless it is another store: then this node would forget
    /// volumes that exist.
    fn check_cluster(&self, found: Uuid) -> Result<(), Obstacle> {
        let file = self.config.state_dir.join(CLUSTER_ID);
        let known = match fs::read_to_string(&file) {
            Ok(known) => known,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::create(&file, found.to_string().as_bytes(), 0o600)?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if known == found.to_string() {
            return Ok(());
        }
        Err(Obstacle::OtherCluster { found, known, file: file.display().to_string() })
    }

    /// Says that this node lives. While another session has its name, it waits: that one may be another
    /// machine's, or what is left of its own, which ends by itself.
    async fn live(&mut self, connection: &Connection) -> Result<(), Obstacle> {
        let me = self.shared.info();
        let path = self.shared.layout.alive_node(&me.name);
        loop {
            match connection.create(&path, me.machine_id.as_bytes(), Life::Ephemeral).await {
                Ok(()) => return Ok(()),
                Err(Failure::Refused(Code::NodeExists)) => {}
                Err(failure) => return Err(failure.into()),
            }
            let Some((data, stat)) = connection.get_newest(&path).await? else { continue };
            if stat.owner == connection.ticket.id {
                return Ok(());
            }
            let trouble = taken(&me, &data);
            self.shared.away(Instant::now(), trouble.clone());
            self.say(&trouble);
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Says what this node is, where that is new.
    async fn register(&self, connection: &Connection) -> Result<(), Obstacle> {
        let me = self.shared.info();
        let path = self.shared.layout.node(&me.name);
        let data = serde_json::to_vec(&me).map_err(|error| Failure::Lost(error.to_string()))?;
        let write = match connection.get_newest(&path).await? {
            Some((found, _)) if found == data => return Ok(()),
            Some(_) => Op::Set { path, data, version: ANY },
            None => Op::Create { path, data, life: Life::Persistent },
        };
        let ops = [write, self.shared.change(&Subject::Node(me.name))];
        match connection.multi(&ops).await? {
            Ok(_) => Ok(()),
            Err(refused) => Err(Failure::Refused(refused.code).into()),
        }
    }
}

/// Why the name cannot be had.
fn taken(me: &NodeInfo, machine_id: &[u8]) -> String {
    let name = &me.name;
    if machine_id == me.machine_id.as_bytes() {
        format!(
            "the name {name} still has a former session of this machine, which ends by itself within the session's time-out (if it does not, another hawser runs here under this name: stop one of them)"
        )
    } else {
        format!(
            "another machine is in the cluster as {name}: give one of them another node name (two machines under one name would write to the same volumes)"
        )
    }
}

fn with_port(server: &str) -> String {
    let after_bracket = server.rsplit(']').next().unwrap_or(server);
    if after_bracket.contains(':') { server.to_owned() } else { format!("{server}:2181") }
}

/// Half of it to all of it: the nodes of a cluster do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let random = u32::from(Uuid::new_v4().as_bytes()[0]);
    pause / 2 + pause / 2 * random / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_port_has_zookeepers() {
        assert_eq!(with_port("master.mesos"), "master.mesos:2181");
        assert_eq!(with_port("10.0.0.1:2182"), "10.0.0.1:2182");
        assert_eq!(with_port("[fd00::1]"), "[fd00::1]:2181");
        assert_eq!(with_port("[fd00::1]:99"), "[fd00::1]:99");
    }

    #[test]
    fn a_pause_is_never_longer_than_asked_for_nor_shorter_than_half() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{pause:?}");
        }
    }
}
