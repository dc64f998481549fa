//! The tags by which volumes are known, found again, and rebuilt after a lost store.
//!
//! ```text
//! hawser:cluster   only what carries this cluster's is seen, changed or deleted
//! hawser:id        the volume's id
//! hawser:name      its name; Name is the same, for the console
//! hawser:spec      the spec as JSON, cut at 255 characters; hawser:spec.2, … are the rest
//! hawser:data-dir  where in its file system the data lies, if hawser did not make it
//! ```
//! A spec that became shorter leaves its last pieces behind; reading ends with the JSON, so that
//! they need not be deleted.

use super::api::{Ec2Volume, Tags};
use crate::{backend::VolumeRef, spec::Spec, volume::VolumeId};

pub(super) const CLUSTER: &str = "hawser:cluster";
pub(super) const ID: &str = "hawser:id";
pub(super) const NAME: &str = "hawser:name";
const SPEC: &str = "hawser:spec";
pub(super) const DATA_DIR: &str = "hawser:data-dir";
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
const LONGEST: usize = 255;

/// All tags of a volume that is made, and of a snapshot of it.
pub(super) fn of_volume(cluster: &str, extra: &Tags, volume: &VolumeRef) -> Tags {
    let mut tags: Tags = of_user(extra).collect();
    tags.extend(of_user(&volume.spec.labels));
    tags.extend(identity(cluster, volume.id));
    tags.extend(description(volume));
    tags
}

/// What a user may set: not what the backend goes by, and not what AWS keeps for itself.
fn of_user(tags: &Tags) -> impl Iterator<Item = (String, String)> + '_ {
    let free = |key: &str| !key.starts_with("hawser:") && !key.to_lowercase().starts_with("aws:");
    let allowed = tags.iter().filter(move |(key, _)| free(key));
    allowed.map(|(key, value)| (key.clone(), value.clone()))
}

/// The tags that make a volume this cluster's.
pub(super) fn identity(cluster: &str, id: VolumeId) -> Tags {
    Tags::from([(CLUSTER.to_owned(), cluster.to_owned()), (ID.to_owned(), id.to_string())])
}

/// The tags that tell what it is.
pub(super) fn description(volume: &VolumeRef) -> Tags {
    let name = volume.name.to_string();
    let mut tags = Tags::from([(NAME.to_owned(), name.clone()), ("Name".to_owned(), name)]);
    // A spec is made of texts and numbers: there is nothing in it that JSON cannot hold.
    let spec = serde_json::to_string(&volume.spec).unwrap_or_default();
    for (index, piece) in pieces(&spec).into_iter().enumerate() {
        tags.insert(piece_key(index), piece);
    }
    // Empty is the top directory.
    tags.extend(volume.data_dir.clone().map(|dir| (DATA_DIR.to_owned(), dir)));
    tags
}

/// The spec that a volume's tags hold.
pub(super) fn spec(tags: &Tags) -> Option<Spec> {
    let mut text = String::new();
    for index in 0.. {
        match tags.get(&piece_key(index)) {
            Some(piece) => text.push_str(piece),
            None => break,
        }
    }
    serde_json::Deserializer::from_str(&text).into_iter().next()?.ok()
}

/// The volume's id that the tags hold.
pub(super) fn id(tags: &Tags) -> Option<VolumeId> {
    tags.get(ID)?.parse().ok()
}

/// Why a volume is not to be touched, if it is not this cluster's and that volume's.
pub(super) fn foreign(cluster: &str, id: VolumeId, found: &Ec2Volume) -> Option<String> {
    let has = |key| found.tags.get(key).map_or("missing", String::as_str);
    if has(CLUSTER) != cluster {
        return Some(format!("its tag {CLUSTER} is {}, not {cluster}", has(CLUSTER)));
    }
    let own = id.to_string();
    (has(ID) != own).then(|| format!("its tag {ID} is {}, not {own}", has(ID)))
}

fn piece_key(index: usize) -> String {
    if index == 0 { SPEC.to_owned() } else { format!("{SPEC}.{}", index + 1) }
}

/// Pieces of at most 255 characters, none of which begins or ends with a space: what becomes of
/// those in a tag is nowhere written.
fn pieces(text: &str) -> Vec<String> {
    let all: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    let mut rest = &all[..];
    while rest.len() > LONGEST {
        let fits = |at: &usize| !rest[at - 1].is_whitespace() && !rest[*at].is_whitespace();
        let at = (1..=LONGEST).rev().find(fits).unwrap_or(LONGEST);
        pieces.push(rest[..at].iter().collect());
        rest = &rest[at..];
    }
    pieces.push(rest.iter().collect());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::testing;

    fn volume(labels: usize) -> VolumeRef {
        let mut volume = VolumeRef::from(&testing::new_record());
        let label = |n| (format!("label-{n}"), format!("some words of {n}    and blanks   "));
        volume.spec.labels = (0..labels).map(label).collect();
        volume
    }

    #[test]
    fn a_spec_of_any_length_is_read_back_from_its_tags() {
        for labels in [0, 1, 7, 30] {
            let volume = volume(labels);
            let tags = of_volume("prod", &Tags::new(), &volume);
            assert!(tags.values().all(|value| value.chars().count() <= LONGEST));
            assert_eq!(spec(&tags), Some(volume.spec.clone()));
            assert_eq!(id(&tags), Some(volume.id));
            assert_eq!(tags["Name"], "pgdata");
        }
    }

    #[test]
    fn pieces_of_a_longer_spec_do_not_spoil_a_shorter_one() {
        let mut tags = description(&volume(30));
        tags.extend(description(&volume(1)));
        assert_eq!(spec(&tags), Some(volume(1).spec));
    }

    #[test]
    fn users_tags_are_added_and_cannot_pretend_to_be_ours() {
        let mut volume = volume(0);
        volume.spec.labels = [("team".into(), "a".into()), ("aws:x".into(), "y".into())].into();
        let extra = Tags::from([
            ("hawser:cluster".into(), "other".into()),
            ("cost".into(), "7".into()),
            ("team".into(), "b".into()),
        ]);
        let tags = of_volume("prod", &extra, &volume);
        assert_eq!((&*tags["hawser:cluster"], &*tags["cost"], &*tags["team"]), ("prod", "7", "a"));
        assert!(!tags.contains_key("aws:x"));
    }
}
