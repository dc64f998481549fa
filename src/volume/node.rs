//! The name of a node of the cluster, and the rule for the name of the cluster.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A host name has at most so many bytes, and so has a label in a certificate.
const LONGEST: usize = 63;
/// As long as the organisation in a certificate's subject may be.
const LONGEST_CLUSTER: usize = 64;

/// A node's name: `daemon.node`, or the host's name. Letters, digits, `-`, `_` and `.`, which is what
/// host names are made of; it names a znode and stands in the node's certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a text is no node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name for a node: 1 to {LONGEST} letters, digits, `-`, `_` and `.`, beginning and ending with a letter or a digit"
)]
pub struct NotANodeName(String);

impl NodeName {
    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NotANodeName;

    fn from_str(text: &str) -> Result<Self, NotANodeName> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let right = text.len() <= LONGEST
            && text.chars().all(inner)
            && outer(text.chars().next())
            && outer(text.chars().next_back());
        if right { Ok(Self(text.to_owned())) } else { Err(NotANodeName(text.to_owned())) }
    }
}

impl TryFrom<String> for NodeName {
    type Error = NotANodeName;

    fn try_from(text: String) -> Result<Self, NotANodeName> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a text can be a cluster's name, or what `daemon.node` says.
///
/// # Errors
///
/// What it may be made of.
pub fn check_cluster(text: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=LONGEST_CLUSTER).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err("use 1 to 64 letters, digits, `.`, `_` and `-`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clusters_name_is_short_and_plain() {
        assert!(check_cluster("prod.eu_1-a").is_ok());
        for wrong in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(check_cluster(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn host_names_are_node_names() {
        for name in ["a", "n1", "ip-10-0-0-1.ec2.internal", "Node_7"] {
            assert_eq!(name.parse::<NodeName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_would_be_a_path_or_nothing_is_none() {
        for name in ["", ".", "..", "a/b", "-a", "a-", "a b", "ä", &"a".repeat(64)] {
            let error = name.parse::<NodeName>().unwrap_err();
            assert!(error.to_string().contains("no name for a node"), "{error}");
        }
    }
}
