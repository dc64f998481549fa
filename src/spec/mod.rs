//! What a user writes: names, inline specs, options, units. Pure: no I/O.

mod bytes;
mod fs;

pub use bytes::{Bytes, ParseBytesError};
pub use fs::FsType;
