//! Under which driver's name a caller speaks to hawser, and what it takes for granted then.
//!
//! Under `rexray` a new volume of which no size is written has 16 GiB, and none is made under the name of an
//! EBS volume that was not taken over yet: REX-Ray would have mounted that one, and the task would find it
//! empty. All else is the same, for the same volumes: REX-Ray's options are known anyway (`spec/peers.rs`),
//! its bare sizes are GiB as ours are, and both show the directory `data` of a file system.

use crate::{
    engine::{Engine, EngineError},
    spec::{Bytes, Request},
};

/// REX-Ray's `volume.operations.create.default.size`.
const REXRAY_SIZE: Bytes = Bytes::gib(16);

/// The name of a driver that hawser answers as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Its own.
    Hawser,
    /// REX-Ray's.
    Rexray,
}

impl Driver {
    /// Sees to what is taken for granted of a volume that the request may make.
    ///
    /// # Errors
    ///
    /// Where there is storage of that name, which no record here is about.
    pub(super) async fn prepare(
        self,
        engine: &Engine,
        request: &mut Request,
    ) -> Result<(), EngineError> {
        match self {
            Self::Rexray if engine.get(&request.name).is_err() => {
                request.stated.assume_size(REXRAY_SIZE);
                engine.refuse_what_waits_for_import(&request.name).await
            }
            Self::Rexray | Self::Hawser => Ok(()),
        }
    }
}
