//! Who this node is to others, which a new table may say anew.

use std::sync::{Mutex, PoisonError};

use crate::peer::{Identity, PeerConfig, identity::IdentityError};

/// This node's identity and where it was loaded from.
#[derive(Debug)]
pub(super) struct Who {
    now: Mutex<(PeerConfig, Identity)>,
}

impl Who {
    pub(super) fn load(config: PeerConfig) -> Result<Self, IdentityError> {
        let identity = Identity::load(config.clone())?;
        Ok(Self { now: Mutex::new((config, identity)) })
    }

    /// For a new connection.
    pub(super) fn now(&self) -> Identity {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Becomes what a new table says; files that only changed their contents are looked at anyway.
    pub(super) fn become_of(&self, config: PeerConfig) -> Result<(), IdentityError> {
        if self.now.lock().unwrap_or_else(PoisonError::into_inner).0 == config {
            return Ok(());
        }
        let identity = Identity::load(config.clone())?;
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (config, identity);
        Ok(())
    }
}
