//! CreateTags, DeleteTags: of volumes, snapshots and instances.

use jiff::Timestamp;

use crate::{
    error::{ApiError, Outcome},
    state::{Tags, World, is_id},
    wire::{Params, Xml},
};

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
const MAX_TAGS: usize = 50;
const MAX_KEY: usize = 127;
const MAX_VALUE: usize = 255;

pub(super) fn create(world: &mut World, params: &Params, _: Timestamp) -> Outcome<Xml> {
    let new: Tags = params
        .tags("Tag")?
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .collect();
    if new.is_empty() {
        return Err(ApiError::missing("TagSet"));
    }
    each(world, params, |tags| {
        let mut merged = tags.clone();
        merged.extend(new.clone());
        check(&merged)?;
        *tags = merged;
        Ok(())
    })
}

/// A tag that is given with a value goes only if it has that value; none at all means all.
pub(super) fn delete(world: &mut World, params: &Params, _: Timestamp) -> Outcome<Xml> {
    let gone = params.tags("Tag")?;
    each(world, params, |tags| {
        tags.retain(|key, value| {
            !gone.is_empty()
                && !gone.iter().any(|(gone_key, gone_value)| {
                    gone_key == key && gone_value.as_ref().is_none_or(|gone| gone == value)
                })
        });
        Ok(())
    })
}

/// All resources or none: nothing is changed when one of them is not there.
fn each(
    world: &mut World,
    params: &Params,
    change: impl Fn(&mut Tags) -> Outcome<()>,
) -> Outcome<Xml> {
    let ids = params.list("ResourceId");
    if ids.is_empty() {
        return Err(ApiError::missing("ResourceIdSet"));
    }
    for id in &ids {
        change(&mut of(world, id)?.clone())?;
    }
    for id in ids {
        change(of(world, id)?)?;
    }
    Ok(Xml::done())
}

fn of<'a>(world: &'a mut World, id: &str) -> Outcome<&'a mut Tags> {
    if is_id("vol", id) {
        Ok(&mut world.volume(id)?.tags)
    } else if is_id("snap", id) {
        Ok(&mut world.snapshot(id)?.tags)
    } else if is_id("i", id) {
        Ok(&mut world.instance(id)?.tags)
    } else {
        Err(ApiError::new("InvalidID", format!("The ID '{id}' is not valid")))
    }
}

/// Whether a resource can have these tags.
pub(super) fn check(tags: &Tags) -> Outcome<()> {
    if tags.len() > MAX_TAGS {
        let message = format!("The maximum number of Tags for a resource is {MAX_TAGS}.");
        return Err(ApiError::new("TagLimitExceeded", message));
    }
    for (key, value) in tags {
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ApiError::invalid_value(
                "Tag keys starting with 'aws:' are reserved for internal use",
            ));
        }
        if key.chars().count() > MAX_KEY || value.chars().count() > MAX_VALUE {
            return Err(ApiError::invalid_value(format!(
                "Tag '{key}' exceeds the maximum length of {MAX_KEY} for keys or {MAX_VALUE} for \
                 values"
            )));
        }
    }
    Ok(())
}
