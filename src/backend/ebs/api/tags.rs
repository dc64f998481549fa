//! Tags and filters, and CreateTags.

use aws_sdk_ec2::types as sdk;

use super::{Api, ApiError, Call, Tags};

/// What is looked for: any of the values of a filter's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter(pub(crate) String, pub(crate) Vec<String>);

impl Filter {
    pub(crate) fn tag(key: &str, value: &str) -> Self {
        Self(format!("tag:{key}"), vec![value.to_owned()])
    }
}

impl Api {
    /// Sets tags of a volume or snapshot; others stay.
    pub(crate) async fn create_tags(&self, resource: &str, tags: &Tags) -> Result<(), ApiError> {
        let call = Call::CreateTags;
        let request = self.client(call).await?.create_tags().resources(resource);
        let answer = request.set_tags(Some(write(tags))).send().await;
        answer.map(|_| ()).map_err(|error| ApiError::of(call, &error))
    }
}

pub(super) fn read(tags: &[sdk::Tag]) -> Tags {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    tags.iter().map(|tag| (text(tag.key()), text(tag.value()))).collect()
}

pub(super) fn write(tags: &Tags) -> Vec<sdk::Tag> {
    tags.iter().map(|(key, value)| sdk::Tag::builder().key(key).value(value).build()).collect()
}

/// The tags of what a call makes.
pub(super) fn specification(of: sdk::ResourceType, tags: &Tags) -> sdk::TagSpecification {
    sdk::TagSpecification::builder().resource_type(of).set_tags(Some(write(tags))).build()
}

pub(super) fn filters(filters: &[Filter]) -> Vec<sdk::Filter> {
    let filter = |Filter(name, values): &Filter| {
        sdk::Filter::builder().name(name).set_values(Some(values.clone())).build()
    };
    filters.iter().map(filter).collect()
}
