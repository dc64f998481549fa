//! A real ZooKeeper server for tests: Debian's jars, one server, on a free port of loopback, in a
//! directory of its own; and the wire to it, which can be cut.
//!
//! ```text
//! client ──▶ Link ──▶ ZooKeeper ─▶ java org.apache.zookeeper.server.ZooKeeperServerMain
//! ```
//!
//! The distribution's service is left alone. A server ends with the process that started it, however
//! that ends.
//!
//! It needs the packages libzookeeper-java and default-jre-headless. What is missing is said by a panic:
//! a test that cannot run has failed.

mod link;
mod server;

pub use self::{
    link::Link,
    server::{ZooKeeper, free_port},
};
