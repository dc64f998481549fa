//! The marks that hawser leaves on an export: whose a directory is, and who uses it. Signed, so that
//! what hawser deletes is what hawser made, and so that a record can be rebuilt from it.
//!
//! A mark is a text: JSON, and a last line with the signature (HMAC-SHA256) of all that is before it.
//! The key is `backends.nfs.secret`; without one it is the cluster's name, which keeps clusters apart and
//! shows damage, and keeps out nobody who writes marks on purpose.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::Sha256;

use crate::{spec::Spec, volume::VolumeId};

/// What begins a mark's last line.
const SIGNATURE: &str = "signature hmac-sha256 ";
/// The form of marks that this hawser writes and reads. A mark of another form is refused as a whole: it
/// may say something about its directory that is not understood here.
pub(super) const FORM: u32 = 1;
/// Marks are small: what is larger is none.
pub(super) const LIMIT: usize = 64 * 1024;

/// The mark of a volume: what its record could be rebuilt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeMark {
    /// Of the form: [`FORM`].
    pub(super) form: u32,
    /// The cluster's name.
    pub(super) cluster: String,
    /// The storage's own id: that of the volume it was made for.
    pub(super) id: VolumeId,
    /// The volume's name.
    pub(super) name: String,
    /// When the directory was made, or taken over.
    pub(super) made_at: Timestamp,
    /// The directory in it that tasks see; empty for all of it.
    pub(super) data_dir: String,
    /// What the volume was asked to be.
    pub(super) spec: Spec,
}

/// The mark of a node that uses a volume's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserMark {
    /// Of the form: [`FORM`].
    pub(super) form: u32,
    /// The cluster's name.
    pub(super) cluster: String,
    /// The id of the node's record.
    pub(super) id: VolumeId,
    /// The node.
    pub(super) node: Node,
    /// Since when.
    pub(super) since: Timestamp,
}

/// A node. Two machines may have one name by mistake, and one machine's disk may have been copied: only
/// what agrees in both is the same node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `daemon.node`, or the host's name.
    pub name: String,
    /// Made of the machine's id; empty where it has none.
    pub machine: String,
}

/// What is wrong with a mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMark {
    #[error("its mark has no signature")]
    Unsigned,
    #[error(
        "its mark is signed with another key: it is another cluster's, it is damaged, or `backends.nfs.secret` differs"
    )]
    Foreign,
    #[error("its mark is the cluster {0}'s")]
    OtherCluster(String),
    #[error("its mark is of form {0}, which this hawser does not know: update hawser on this node")]
    OtherForm(u32),
    #[error("its mark cannot be read: {0}")]
    Unreadable(String),
}

/// What every mark begins with.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// A mark that says whose it is.
pub(super) trait OfCluster {
    fn cluster(&self) -> &str;
}

impl OfCluster for VolumeMark {
    fn cluster(&self) -> &str {
        &self.cluster
    }
}

impl OfCluster for UserMark {
    fn cluster(&self) -> &str {
        &self.cluster
    }
}

/// Signs marks, and tells whether one is of this cluster.
#[derive(Clone)]
pub(super) struct Signer {
    cluster: String,
    mac: Hmac<Sha256>,
}

impl Signer {
    pub(super) fn new(cluster: &str, secret: Option<&str>) -> Self {
        // HMAC takes a key of any length.
        #[allow(clippy::expect_used, reason = "it cannot fail")]
        let mac = Hmac::new_from_slice(secret.unwrap_or(cluster).as_bytes()).expect("any length");
        Self { cluster: cluster.to_owned(), mac }
    }

    /// The cluster's name, which every mark carries.
    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The text of a mark.
    pub(super) fn sign(&self, mark: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(mark)?;
        text.push('\n');
        let signature = self.mac.clone().chain_update(text.as_bytes()).finalize().into_bytes();
        text.push_str(SIGNATURE);
        text.push_str(&hex::encode(signature));
        text.push('\n');
        Ok(text.into_bytes())
    }

    /// The mark of that text, if it is this cluster's.
    pub(super) fn read<T: DeserializeOwned + OfCluster>(&self, text: &[u8]) -> Result<T, BadMark> {
        let text = str::from_utf8(text).map_err(|error| BadMark::Unreadable(error.to_string()))?;
        let (body, signature) = text.trim_end().rsplit_once(SIGNATURE).ok_or(BadMark::Unsigned)?;
        let signature = hex::decode(signature).map_err(|_| BadMark::Unsigned)?;
        let Form { form } =
            serde_json::from_str(body).map_err(|error| BadMark::Unreadable(error.to_string()))?;
        if form != FORM {
            return Err(BadMark::OtherForm(form));
        }
        let mark: T =
            serde_json::from_str(body).map_err(|error| BadMark::Unreadable(error.to_string()))?;
        let signed = self.mac.clone().chain_update(body.as_bytes()).verify_slice(&signature);
        match (signed, mark.cluster() == self.cluster) {
            (Ok(()), true) => Ok(mark),
            (_, false) => Err(BadMark::OtherCluster(mark.cluster().to_owned())),
            (Err(_), true) => Err(BadMark::Foreign),
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::testing::START;

    fn mark() -> UserMark {
        let id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse().unwrap();
        let node = Node { name: "n1".into(), machine: "m".into() };
        UserMark { form: FORM, cluster: "prod".into(), id, node, since: START }
    }

    #[test]
    fn a_mark_is_read_as_it_was_signed() {
        let signer = Signer::new("prod", Some("secret"));
        let text = signer.sign(&mark()).unwrap();
        assert_eq!(signer.read::<UserMark>(&text), Ok(mark()));
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("{\n  \"form\": 1,\n  \"cluster\": \"prod\""), "{text}");
        assert!(!format!("{signer:?}").contains("secret"));
    }

    #[test]
    fn a_mark_of_another_key_or_cluster_or_one_that_was_changed_is_refused() {
        let signer = Signer::new("prod", Some("secret"));
        let text = String::from_utf8(signer.sign(&mark()).unwrap()).unwrap();
        let read = |signer: &Signer, text: &str| signer.read::<UserMark>(text.as_bytes());
        assert_eq!(read(&Signer::new("prod", None), &text), Err(BadMark::Foreign));
        let other = Signer::new("test", Some("secret"));
        assert_eq!(read(&other, &text), Err(BadMark::OtherCluster("prod".into())));
        assert_eq!(read(&signer, &text.replace("\"n1\"", "\"n2\"")), Err(BadMark::Foreign));
        let body = text.split("signature").next().unwrap();
        assert_eq!(read(&signer, body), Err(BadMark::Unsigned));
        let newer = text.replace("\"form\": 1", "\"form\": 2");
        assert_eq!(read(&signer, &newer), Err(BadMark::OtherForm(2)));
        assert!(matches!(
            read(&signer, &text.replace("node", "nude")),
            Err(BadMark::Unreadable(_))
        ));
    }
}
