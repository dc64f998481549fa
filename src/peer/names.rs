//! The DNS name that stands in a node's certificate, and proves which node of which cluster holds it.
//!
//! `<hash of the node>.<hash of the cluster>.hawser.internal`: DNS names are compared without case and
//! know few characters, names of nodes and clusters tell `A` from `a` and may hold `_` and `.`. Hashes
//! of a fixed length keep any two pairs apart. The readable names are in the certificate's subject.

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};

use crate::volume::NodeName;

/// `.internal` is nobody's in the DNS, and will stay so.
const SUFFIX: &str = "hawser.internal";
/// 128 bits.
const DIGITS: usize = 32;

/// The DNS name of a node's certificate.
#[must_use]
pub fn dns_name(cluster: &str, node: &NodeName) -> String {
    format!("{}.{}.{SUFFIX}", label(node.as_str()), label(cluster))
}

/// The same, as TLS wants it.
///
/// # Errors
/// None that is known: the name is made of what DNS names may hold.
pub fn server_name(
    cluster: &str,
    node: &NodeName,
) -> Result<ServerName<'static>, InvalidDnsNameError> {
    dns_name(cluster, node).try_into()
}

fn label(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_node_of_every_cluster_has_a_name_of_its_own_that_tls_takes() {
        let mut names = BTreeSet::new();
        for cluster in ["prod", "Prod", "prod.eu", "prod_eu", &"x".repeat(64)] {
            for node in ["a", "A", "a.b", "a_b", "ip-10-0-0-1.ec2.internal", &"n".repeat(63)] {
                let node = node.parse().unwrap();
                assert!(server_name(cluster, &node).is_ok());
                assert!(names.insert(dns_name(cluster, &node).to_lowercase()));
            }
        }
        assert_eq!(names.len(), 30);
    }

    /// It is in certificates that live for years.
    #[test]
    fn the_name_of_a_node_never_changes() {
        let name = dns_name("prod", &"n1".parse().unwrap());
        assert_eq!(
            name,
            "676b8bb84ce7267dd520deca4811c8f1.6754af9632a2745e85c293e5aac08633.hawser.internal"
        );
    }
}
