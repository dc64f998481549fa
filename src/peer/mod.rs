//! How the nodes of a cluster talk to each other: HTTP/1.1 with JSON bodies over mutual TLS 1.3.
//!
//! ```text
//! client ──▶ TLS: "the server is node b of cluster c" ──▶ server ──▶ the routes of its owner,
//!            TLS: "the caller has a certificate of our CA"            with PeerNode(caller)
//!            header hawser-node: "I am node a", which that certificate must prove
//! ```
//!
//! A certificate proves one thing: that its holder is one node of one cluster ([`names`]). Nothing here
//! knows what is said over the port; volumes and the engine are not known either.
//!
//! - [`names`]: the name that stands in a node's certificate
//! - [`pki`]: makes the CA and the certificates
//! - [`identity`]: this node's own, checked, and loaded again when its files change
//! - [`trust`], [`refusals`]: why somebody is not believed, and how it is logged
//! - [`server`], [`client`]: the two ends

pub mod client;
pub mod identity;
pub(crate) mod limits;
pub mod names;
pub mod pki;
pub mod refusals;
pub mod server;
pub mod trust;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use client::{PeerError, Peers};
pub use identity::{Identity, PeerConfig};
pub use server::{PeerNode, PeerServer};

/// The header in which a caller says which node it is.
pub const NODE_HEADER: &str = "hawser-node";

/// The largest body of a request or an answer.
pub const BODY_LIMIT: usize = 4 << 20;

/// The body of an answer that is a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalResponse {
    /// Why.
    pub error: String,
}
