//! An export of this node's configuration: how it is reached, its room, and whether its server answers.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use super::{
    Control, ExportSettings, Records,
    error::NfsError,
    images::Images,
    mark::{Node, Signer},
    mounted::Mounted,
    mounting::reachable,
    place::Places,
    tree::{Pace, Tree},
    v3,
};
use crate::{spec::Bytes, sys::nfs::Helper};

/// How long an answer about a server is good for: many volumes ask about one server.
const FRESH: Duration = Duration::from_secs(5);

/// An export.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) settings: ExportSettings,
    pub(super) places: Places,
    /// The volumes of it that are file systems in files.
    pub(super) images: Images,
    /// When its server was last asked, and what was wrong. Held while it is asked: the others wait for
    /// that answer.
    asked: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Export {
    pub(super) fn new(
        settings: ExportSettings,
        signer: &Signer,
        node: &Node,
        records: Records,
        root: &Path,
    ) -> Self {
        // `Host::export_path`.
        let images = Images::new(root.join("exports").join(&settings.name));
        let tree: Arc<dyn Tree> = match settings.control {
            Control::V3 => Arc::new(v3::NfsV3::new(server(&settings))),
            Control::Mount => {
                let target = root.join("control").join(&settings.name);
                Arc::new(Mounted::new(settings.clone(), target, Helper::itself()))
            }
        };
        let places = Places { tree, signer: signer.clone(), node: node.clone(), records };
        Self { settings, places, images, asked: Mutex::default() }
    }

    /// Room for that much more, above the margin.
    pub(super) async fn admit(&self, size: Bytes) -> Result<(), NfsError> {
        let margin = self.settings.margin;
        let free = Bytes::new(self.places.tree.space().await?.free);
        if size.saturating_add(margin) <= free {
            return Ok(());
        }
        let (export, free) =
            (self.settings.server.to_string(), free.saturating_sub(margin).rounded());
        Err(NfsError::NoRoom { export, size, free, margin })
    }

    /// Asks the server anew, and leaves mounts alone: the daemon has its own.
    pub(super) async fn ask(&self) -> Result<Option<Bytes>, NfsError> {
        match self.settings.control {
            Control::V3 => {
                self.places.tree.probe().await?;
                Ok(Some(Bytes::new(self.places.tree.space().await?.free)))
            }
            Control::Mount => reachable(&self.settings).await.map(|_| None),
        }
    }

    /// The bytes used below `path`, counted at the configured rate.
    pub(super) async fn measure(&self, path: &str) -> Result<Bytes, NfsError> {
        let calls_per_second =
            NonZeroU32::new(self.settings.measure_rate).unwrap_or(NonZeroU32::MIN);
        let usage = self.places.tree.measure(path, Pace { calls_per_second }).await?;
        Ok(Bytes::new(usage.bytes))
    }

    /// Whether its server answers where tasks' mounts reach it, as of a few seconds ago at most. Whether
    /// it lets hawser make directories is another question, which does not concern who runs.
    pub(super) async fn answers(&self) -> Result<(), NfsError> {
        let mut asked = self.asked.lock().await;
        if let Some((at, answer)) = asked.as_ref()
            && at.elapsed() < FRESH
        {
            return answer.clone().map_err(NfsError::Away);
        }
        let answer = reachable(&self.settings).await.map(drop).map_err(|error| error.to_string());
        *asked = Some((Instant::now(), answer.clone()));
        answer.map_err(NfsError::Away)
    }
}

/// The server, as the control path reaches it.
pub(super) fn server(settings: &ExportSettings) -> v3::ServerConfig {
    let ExportSettings { server, port, mount_port, portmapper_port, .. } = settings;
    v3::ServerConfig {
        port: *port,
        mount_port: *mount_port,
        portmapper_port: *portmapper_port,
        privileged_port: settings.privileged_port,
        uid: settings.uid,
        gid: settings.gid,
        ..v3::ServerConfig::new(&server.host, &server.path)
    }
}
