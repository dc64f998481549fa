//! The owner's side of sharing: a volume's NFS server, and whom the tunnel lets to it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    path::{Component, Path},
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{NotReached, SERVERS, Sharing, table::Whose, writer};
use crate::{
    engine::{
        error::Cause,
        host::{RECOVERY, names_are_durable},
    },
    share::{
        self, Export, Squash,
        tunnel::{self, Table},
    },
    spec,
    sys::{machine, mountinfo::MountTable},
    volume::{Record, VolumeId, effect::Outcome},
};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end in order.
const STOP: Duration = Duration::from_secs(10);
/// How often the servers' logs are looked at.
const LOGS: Duration = Duration::from_secs(600);
/// How long the connections to a volume may take to end, before its file system is shut down.
pub(super) const CLOSE: Duration = Duration::from_secs(3);

impl Sharing {
    /// Whether the volume's server lives, slow as it may be. Not knowing is no reason to start another.
    pub(in crate::engine) fn serves(&self, volume: VolumeId) -> bool {
        self.server(volume, 0).is_running().unwrap_or(true)
    }

    /// Whether there is no volume of this node's that others are let to.
    pub(in crate::engine) fn serves_nothing(&self) -> bool {
        self.ports().is_empty()
    }

    /// Puts the servers' logs aside where they have grown long.
    pub(super) async fn bound_logs(&self) -> std::convert::Infallible {
        loop {
            sleep(LOGS).await;
            let volumes: Vec<_> = self.ports().keys().copied().collect();
            for volume in volumes {
                if let Err(error) = self.server(volume, 0).bound_log() {
                    tracing::warn!(%volume, %error, "its NFS server's log grows");
                }
            }
        }
    }

    /// Serves what is mounted at the stage, as only a cluster's node mounts it. A server that is started does
    /// not wait for the clients of hosts that are gone.
    pub(in crate::engine) async fn export(
        &self,
        record: &Record,
        stage: &Path,
        data: &Path,
        gone: Vec<String>,
    ) -> Result<Outcome, Cause> {
        if data.components().all(|part| !matches!(part, Component::Normal(_))) {
            return Err(NotReached::NoRoom.into());
        }
        let mounts = spawn_blocking(MountTable::read).await??;
        let durable = names_are_durable(record.spec.fs);
        let options =
            mounts.at(stage).map(|mount| [&*mount.options, &*mount.super_options].concat());
        if !options.is_some_and(|options| options.iter().any(|option| option == durable)) {
            return Err(NotReached::NotDurable(durable).into());
        }
        let port = self.server_port(record.id)?;
        let served = self.serve(record, stage, data, port, gone).await;
        if served.is_err() && !self.serves(record.id) {
            // Whatever was wrong with it: another one may do.
            self.ports().remove(&record.id);
        }
        served?;
        let (volume, epoch) = (record.id, record.lease.epoch);
        let access = writer::access_of(record).ok_or(NotReached::NoWriter)?;
        let export = tunnel::Export { volume, epoch, port, access };
        let with = move |table: &mut Table| {
            table.exports.retain(|export| export.volume != volume);
            table.exports.push(export);
            Ok(())
        };
        self.in_force.change(Whose::Volume(volume), with).await?;
        Ok(Outcome::Exported(epoch))
    }

    async fn serve(
        &self,
        record: &Record,
        stage: &Path,
        data: &Path,
        port: u16,
        mut gone: Vec<String>,
    ) -> Result<(), Cause> {
        let export = Export {
            volume: *record.id.uuid(),
            data: stage.join(data),
            recovery: stage.join(RECOVERY),
            squash: match record.spec.squash {
                spec::Squash::None => Squash::Nobody,
                spec::Squash::Root => Squash::Root,
            },
            times: self.times,
        };
        let server = self.server(record.id, port);
        if !server.is_running()? {
            if self.in_force.remote(record.id).is_none() {
                // It was a client of the server before, perhaps, and comes no more as one: it would be
                // waited for.
                gone.push(machine::host_name());
            }
            let recovery = export.recovery.clone();
            let forget = move || {
                gone.iter().try_for_each(|host| share::forget_client(&recovery, host).map(drop))
            };
            spawn_blocking(forget).await??;
        }
        Ok(server.ensure(&export, START).await?)
    }

    /// Lets nobody to it any more. What other nodes have under way waits for the next owner: no error of this
    /// one's file system gets to them.
    pub(in crate::engine) async fn close(&self, volume: VolumeId) {
        match timeout(CLOSE, self.shut_out(volume)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%volume, %error, "its connections are not closed"),
            Err(_) => tracing::warn!(%volume, "its connections are not closed in time"),
        }
    }

    async fn shut_out(&self, volume: VolumeId) -> Result<(), Cause> {
        let without = move |table: &mut Table| {
            table.exports.retain(|export| export.volume != volume);
            Ok(())
        };
        self.in_force.change(Whose::Volume(volume), without).await
    }

    /// Ends that: nobody is let to it any more, and then its server ends.
    pub(in crate::engine) async fn unexport(
        &self,
        record: &Record,
        stage: &Path,
    ) -> Result<Outcome, Cause> {
        self.end_server(record.id).await?;
        if record.has_one_writer() && record.writer().is_none() {
            // The next one to write has never been here, and need not wait for one that was.
            let recovery = stage.join(RECOVERY);
            spawn_blocking(move || share::forget_clients(&recovery)).await??;
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn end_server(&self, volume: VolumeId) -> Result<(), Cause> {
        self.shut_out(volume).await?;
        let server = self.server(volume, 0);
        server.stop(STOP).await?;
        self.ports().remove(&volume);
        if let Err(error) = server.forget() {
            tracing::warn!(%volume, %error, "the files of its NFS server stay");
        }
        Ok(())
    }

    pub(super) fn server_port(&self, volume: VolumeId) -> Result<u16, NotReached> {
        // The tunnel still leads there for another volume, also where its server could not be started again.
        let led_to = |table: &Table| -> Vec<_> {
            let others = table.exports.iter().filter(|export| export.volume != volume);
            others.map(|export| export.port).collect()
        };
        let led_to = led_to(&self.in_force.now());
        let mut servers = self.ports();
        if let Some(port) = servers.get(&volume) {
            return Ok(*port);
        }
        let taken = |port: &u16| servers.values().chain(&led_to).any(|other| other == port);
        let free =
            self.netns.run(|| SERVERS.clone().find(|port| !taken(port) && !is_in_use(*port)));
        let port = free.ok().flatten().ok_or(NotReached::NoPort(SERVERS))?;
        servers.insert(volume, port);
        Ok(port)
    }
}

/// Whether something listens there, in the network of this thread: what is not known here, too.
fn is_in_use(port: u16) -> bool {
    let taken = |address| {
        TcpListener::bind((address, port))
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    taken(IpAddr::from(Ipv6Addr::UNSPECIFIED)) || taken(IpAddr::from(Ipv4Addr::UNSPECIFIED))
}
