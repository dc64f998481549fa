//! What a user writes: names, inline specs, options, units. Pure: no I/O.
//!
//! ```text
//! text ──parse──▶ Request { name, Stated } ──resolve(Defaults)──▶ Spec (what the record keeps)
//!                    │    only the fields         a value for every field
//!                    │    that were written
//!                    ├──canonical──▶ `name=pgdata,size=2GiB`, which parses to the same request
//!                    ├──first_difference(Spec)──▶ what disagrees with the volume that exists
//!                    └──explain──▶ what would be made of it, and why
//! ```
//!
//! `key` is the table of keys: it drives parsing, help and the canonical form. `peers` is the
//! table of other plugins' options: a translation, or the reason of a refusal. What is in
//! neither is an error that names the nearest key: nothing is ever ignored.

mod bytes;
mod choice;
mod compare;
mod complete;
mod ebs;
mod error;
mod explain;
mod fs;
mod help;
mod key;
mod label;
mod mkfs;
mod mount;
mod name;
mod nfs;
mod owner;
mod parse;
mod peers;
mod resolve;
mod stated;
mod value;

pub use bytes::{Bytes, ParseBytesError};
pub use choice::{
    BackendKind, OnRemove, Preempt, Provision, Sharing, Squash, Sticky, UnknownBackend,
};
pub use compare::Difference;
pub use complete::{BackendSpec, Defaults, LocalSpec, Spec};
pub use ebs::{
    AttachPolicy, CONFIGURED_TAGS_MAX, EbsDefaults, EbsLimits, EbsSpec, EbsType, IopsLimits,
    ThroughputLimits,
};
pub use error::{Shown, SpecError};
pub use explain::{Explained, Explanation, Source, explain};
pub use fs::FsType;
pub use help::{KeyHelp, Status, help, help_text};
pub use key::Key;
pub use name::VolumeName;
pub use nfs::{NfsDefaults, NfsLayout, NfsSpec, transfer_size};
pub use owner::{Mode, NotAMode, Ownership};
pub use parse::{Asked, parse, parse_options};
pub use resolve::minimum_size;
pub use stated::{Request, Stated};
pub use value::{Scale, Value};
