//! This node's backends, opened as they are configured. Nothing is mounted or changed by it, and
//! nobody outside this node is asked.

use std::sync::Arc;

use anyhow::Context;

use crate::{
    backend::{
        Backend,
        local::Local,
        nfs::{Nfs, Node},
    },
    config::Config,
    sys::machine,
};

/// Every backend of this node.
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Arc<dyn Backend>>> {
    let local = Local::open(config.local.clone()).with_context(|| {
        format!("cannot open the image directory {}", config.local.dir.display())
    })?;
    let mut backends: Vec<Arc<dyn Backend>> = vec![Arc::new(local)];
    backends.extend(ebs(config));
    if let Some(nfs) = open_nfs(config) {
        backends.push(Arc::new(nfs));
    }
    Ok(backends)
}

/// The NFS backend, where an export is configured.
pub(super) fn open_nfs(config: &Config) -> Option<Nfs> {
    let name = config.node.clone().unwrap_or_else(machine::host_name);
    let node = Node { name, machine: machine::id().unwrap_or_default() };
    Some(Nfs::open(config.nfs.clone()?, &node, &config.root))
}

#[cfg(feature = "ebs")]
fn ebs(config: &Config) -> Option<Arc<dyn Backend>> {
    Some(Arc::new(open_ebs(config)?))
}

/// The EBS backend, where it is configured.
#[cfg(feature = "ebs")]
pub(super) fn open_ebs(config: &Config) -> Option<crate::backend::ebs::Ebs> {
    use crate::backend::ebs::{Ebs, EbsConfig, StaticCredentials};

    let settings = config.ebs.clone()?;
    let credentials = settings.credentials.map(|keys| StaticCredentials {
        access_key: keys.access_key().to_owned(),
        secret_key: keys.secret_key().to_owned(),
        session_token: None,
    });
    Some(Ebs::open(EbsConfig {
        region: settings.region,
        zone: settings.zone,
        instance_id: settings.instance_id,
        endpoint: settings.endpoint,
        credentials,
        tags: settings.tags,
        attach_limit: settings.attach_limit,
        attach_timeout: settings.attach_timeout,
        force_detach_after: settings.force_detach_after,
        dev_dir: settings.dev_dir,
        sys_dir: settings.sys_dir,
        ..EbsConfig::new(settings.cluster)
    }))
}

/// A hawser without it refuses the settings that turn it on.
#[cfg(not(feature = "ebs"))]
fn ebs(_config: &Config) -> Option<Arc<dyn Backend>> {
    None
}
