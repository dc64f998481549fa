//! The parameters of a request: `Filter.1.Value.2=x` and the like, read into types.
//!
//! Lists count from 1, and the numbers may have gaps: their order counts, as for the real one.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use crate::error::{ApiError, Outcome, lower_first};

/// The parameters, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

/// `Filter.N`: one name, several values of which one has to match.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

impl Params {
    pub(crate) fn parse(form: &[u8]) -> Self {
        Self(form_urlencoded::parse(form).into_owned().collect())
    }

    /// These, and `other`'s where there are none.
    pub(crate) fn or(mut self, other: Self) -> Self {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    pub(crate) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// A parameter that is given and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> Outcome<&str> {
        self.get(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Outcome<Option<T>> {
        self.get(name).map(|text| text.parse().map_err(|_| invalid(name, text))).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Outcome<bool> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid(name, other)),
        }
    }

    /// `prefix.1`, `prefix.2`, …
    pub(crate) fn list(&self, prefix: &str) -> Vec<&str> {
        self.numbers(prefix)
            .into_iter()
            .filter_map(|n| self.0.get(&format!("{prefix}.{n}")).map(String::as_str))
            .collect()
    }

    pub(crate) fn filters(&self) -> Outcome<Vec<Filter>> {
        let filter = |n: u32| {
            let name = self.required(&format!("Filter.{n}.Name"))?.to_owned();
            let values = self.list(&format!("Filter.{n}.Value"));
            if values.is_empty() {
                return Err(ApiError::invalid_value(format!(
                    "The filter '{name}' must have at least one value"
                )));
            }
            Ok(Filter { name, values: values.into_iter().map(str::to_owned).collect() })
        };
        self.numbers("Filter").into_iter().map(filter).collect()
    }

    /// `prefix.N.Key` and `prefix.N.Value`; one without a value has none.
    pub(crate) fn tags(&self, prefix: &str) -> Outcome<Vec<(String, Option<String>)>> {
        let tag = |n: u32| {
            let key = self.required(&format!("{prefix}.{n}.Key"))?.to_owned();
            Ok((key, self.0.get(&format!("{prefix}.{n}.Value")).cloned()))
        };
        self.numbers(prefix).into_iter().map(tag).collect()
    }

    /// The tags of `TagSpecification.N`, all of which have to be for this type of resource.
    pub(crate) fn tag_specifications(&self, resource: &str) -> Outcome<BTreeMap<String, String>> {
        let mut tags = BTreeMap::new();
        for n in self.numbers("TagSpecification") {
            let kind = self.required(&format!("TagSpecification.{n}.ResourceType"))?;
            if kind != resource {
                return Err(ApiError::invalid_value(format!(
                    "'{kind}' is not a valid taggable resource type for this operation."
                )));
            }
            for (key, value) in self.tags(&format!("TagSpecification.{n}.Tag"))? {
                if tags.insert(key.clone(), value.unwrap_or_default()).is_some() {
                    return Err(ApiError::invalid_value(format!(
                        "Duplicate tag key '{key}' specified."
                    )));
                }
            }
        }
        Ok(tags)
    }

    /// Refuses what the action has no parameter for: a misspelt one must not pass unseen.
    pub(crate) fn expect_only(&self, known: &[&str]) -> Outcome<()> {
        let always = ["Action", "Version", "DryRun"];
        for name in self.0.keys() {
            let base = name.split_once('.').map_or(name.as_str(), |(base, _)| base);
            if !known.contains(&base) && !always.contains(&base) {
                return Err(ApiError::new(
                    "UnknownParameter",
                    format!("The parameter {name} is not recognized"),
                ));
            }
        }
        Ok(())
    }

    fn numbers(&self, prefix: &str) -> BTreeSet<u32> {
        let number = |name: &String| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
            rest.split_once('.').map_or(rest, |(n, _)| n).parse().ok()
        };
        self.0.keys().filter_map(number).collect()
    }
}

fn invalid(name: &str, value: &str) -> ApiError {
    let name = lower_first(name);
    ApiError::invalid_value(format!("Invalid value '{value}' for {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers() {
        let params = Params::parse(b"VolumeId.10=c&VolumeId.2=b&VolumeId.1=a");
        assert_eq!(params.list("VolumeId"), ["a", "b", "c"]);
    }

    #[test]
    fn a_filter_has_a_name_and_values() {
        let params = Params::parse(b"Filter.1.Name=tag%3Aa&Filter.1.Value.1=x&Filter.1.Value.2=y");
        let filters = params.filters().unwrap();
        assert_eq!(filters[0].name, "tag:a");
        assert_eq!(filters[0].values, ["x", "y"]);
    }

    #[test]
    fn a_parameter_that_the_action_does_not_have_is_refused() {
        let params = Params::parse(b"Action=CreateVolume&Sise=1");
        assert_eq!(params.expect_only(&["Size"]).unwrap_err().code, "UnknownParameter");
    }
}
