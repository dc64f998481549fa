//! How the values of the EBS backend's settings are written.

use std::collections::BTreeMap;

use super::super::parsed;
use crate::{
    spec::{CONFIGURED_TAGS_MAX, EbsType},
    volume::check_cluster,
};

/// A tag has at most so many characters as its key, and as its value.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
const TAG_MAX: (usize, usize) = (128, 256);

/// Reads `KEY=VALUE,KEY=VALUE`.
pub(super) fn tags(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut tags = BTreeMap::new();
    for tag in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
        let Some((key, value)) = tag.split_once('=') else {
            return Err(format!("`{tag}` is not a tag: write KEY=VALUE,KEY=VALUE"));
        };
        let (key, value) = (key.trim(), value.trim());
        check_tag(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("the tag `{key}` is given twice"));
        }
    }
    if tags.len() > CONFIGURED_TAGS_MAX {
        return Err(format!(
            "{} tags: at most {CONFIGURED_TAGS_MAX}, since EC2 takes 50 on a volume, its labels and hawser's \
             own among them",
            tags.len()
        ));
    }
    Ok(tags)
}

fn check_tag(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("a tag has no key: write KEY=VALUE".into());
    }
    if key.chars().count() > TAG_MAX.0 || value.chars().count() > TAG_MAX.1 {
        return Err(format!(
            "the tag `{key}` is too long: EC2 takes {} characters as a key and {} as a value",
            TAG_MAX.0, TAG_MAX.1
        ));
    }
    let lower = key.to_ascii_lowercase();
    if lower.starts_with("aws:") {
        return Err(format!("the tag `{key}` cannot be set: those that begin with aws: are AWS's"));
    }
    if lower.starts_with("hawser") || lower == "name" {
        return Err(format!("the tag `{key}` is hawser's own: choose another"));
    }
    let allowed = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
    if !key.chars().chain(value.chars()).all(allowed) {
        return Err(format!("the tag `{key}`: use letters, digits, spaces and `+-=._:/@`"));
    }
    Ok(())
}

/// A word of AWS's: a region, a zone, an id.
pub(in crate::config) fn word(text: &str) -> Result<Option<String>, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    match text {
        "" => Ok(None),
        _ if text.bytes().all(allowed) => Ok(Some(text.to_owned())),
        _ => Err("use letters, digits and `-`, such as us-east-1".into()),
    }
}

pub(super) fn instance_id(text: &str) -> Result<Option<String>, String> {
    match word(text) {
        Ok(Some(id)) if !id.starts_with("i-") => {
            Err("not an instance id: write it as EC2 does, such as i-0123456789abcdef0".into())
        }
        other => other,
    }
}

pub(super) fn endpoint(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host {
        // Credentials in a URL would be shown with it.
        Some(host) if host.contains('@') => Err("a URL with a user name is not accepted".into()),
        Some(host) if !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()) => {
            Ok(Some(text.to_owned()))
        }
        Some(_) | None => {
            Err("not a URL: write such as https://ec2.us-east-1.amazonaws.com".into())
        }
    }
}

/// A key as EC2 takes it: an id, an alias or an ARN.
pub(super) fn kms_key(text: &str) -> Result<Option<String>, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_./:@+-".contains(&b);
    match text {
        "" => Ok(None),
        _ if text.len() <= 256 && text.bytes().all(allowed) => Ok(Some(text.to_owned())),
        _ => Err("not a KMS key: write its id, alias/NAME, or its ARN".into()),
    }
}

pub(super) fn key_text(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        _ if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(text.to_owned())),
        _ => Err("it holds a space or another character that no key has".into()),
    }
}

pub(super) fn encrypted(text: &str) -> Result<Option<bool>, String> {
    match text {
        "account" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err("must be account, true or false".into()),
    }
}

pub(super) fn attach_limit(text: &str) -> Result<Option<u32>, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(None),
        (_, Ok(limit)) if limit > 0 => Ok(Some(limit)),
        _ => Err("must be auto or a number above 0".into()),
    }
}

/// A cluster's name, or a node's: a tag's value, and part of client tokens.
pub(in crate::config) fn cluster(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    check_cluster(text)?;
    Ok(Some(text.to_owned()))
}

/// A type that volumes can have without saying more.
pub(super) fn default_type(text: &str) -> Result<EbsType, String> {
    let volume_type: EbsType = parsed(text)?;
    match volume_type.limits().iops {
        Some(limits) if limits.default.is_none() => Err(format!(
            "{volume_type} needs iops, which a volume states itself, with its type: use gp3"
        )),
        Some(_) | None => Ok(volume_type),
    }
}
