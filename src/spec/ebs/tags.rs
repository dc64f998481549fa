//! How many labels an EBS volume can have: they are tags, as are its own description and what the
//! operator adds, and EC2 takes 50 of a volume.

use crate::spec::{Key, Spec, SpecError, error::Shown};

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
const TAGS_MAX: usize = 50;
/// What one tag holds of a spec.
const TAG_LENGTH: usize = 255;
/// The cluster, the id, and the name twice.
const OWN: usize = 4;
/// How many tags an operator may add to every volume.
pub const CONFIGURED_MAX: usize = 4;

/// Whether EC2 can hold the tags of a volume with this spec.
pub(in crate::spec) fn check(spec: &Spec) -> Result<(), SpecError> {
    // One more: when the volume is made, its spec is completed with what EC2 made of it.
    let written = serde_json::to_string(spec).unwrap_or_default().len();
    let description = written.div_ceil(TAG_LENGTH) + 1;
    let room = TAGS_MAX - OWN - CONFIGURED_MAX;
    if spec.labels.len() + description <= room {
        return Ok(());
    }
    let why = format!(
        "{} labels, and {description} tags for the spec that holds them, are more than the {room} \
         that are left of EC2's {TAGS_MAX}: use fewer or shorter labels",
        spec.labels.len()
    );
    Err(SpecError::Refused { key: Shown::new(Key::Label.as_str()), why: why.into() })
}
