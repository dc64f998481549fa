//! Filters and pages, which all Describe actions share.

use std::collections::BTreeMap;

use crate::{
    error::{ApiError, Outcome},
    state::Tags,
    wire::{Params, form::Filter},
};

/// The most ids that a request may name.
const MAX_IDS: usize = 500;
const PAGE: std::ops::RangeInclusive<usize> = 5..=1000;

/// What a filter compares: each attribute by its name.
pub(crate) type Attributes<'a> = BTreeMap<&'a str, String>;

/// Whether all filters let this through.
///
/// # Errors
/// A filter that is not known is refused, as EC2 does it: it must not pass as "nothing found".
pub(crate) fn matches(
    filters: &[Filter],
    attributes: &Attributes<'_>,
    tags: &Tags,
) -> Outcome<bool> {
    let mut all = true;
    for filter in filters {
        let any = |value: &str| filter.values.iter().any(|pattern| glob(pattern, value));
        all &= if let Some(key) = filter.name.strip_prefix("tag:") {
            tags.get(key).is_some_and(|value| any(value))
        } else if filter.name == "tag-key" {
            tags.keys().any(|key| any(key))
        } else if let Some(value) = attributes.get(&*filter.name) {
            any(value)
        } else {
            return Err(ApiError::invalid_value(format!(
                "The filter '{}' is invalid",
                filter.name
            )));
        };
    }
    Ok(all)
}

/// `*` is anything, `?` one character.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            glob(rest, text)
                || text.char_indices().any(|(at, c)| glob(rest, &text[at + c.len_utf8()..]))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| wanted == '?' || wanted == c)
                && glob(pattern_chars.as_str(), chars.as_str())
        }
    }
}

/// The ids that a request names.
///
/// # Errors
/// When they are too many, or come with a page size.
pub(crate) fn ids<'a>(params: &'a Params, list: &str, set: &str) -> Outcome<Vec<&'a str>> {
    let ids = params.list(list);
    if ids.len() > MAX_IDS {
        return Err(ApiError::invalid_value(format!(
            "The number of ids in {set} ({}) is too large; maximum is {MAX_IDS}.",
            ids.len()
        )));
    }
    if !ids.is_empty() && (params.get("MaxResults").is_some() || params.get("NextToken").is_some())
    {
        return Err(ApiError::combination(format!(
            "The parameter {set} cannot be used with the parameter maxResults"
        )));
    }
    Ok(ids)
}

/// One page of what was found, which is in the order of the ids; and the next page's token. A token
/// is the last id that was shown, so that what comes and goes meanwhile moves nothing.
pub(crate) fn page<T>(
    params: &Params,
    found: Vec<(String, T)>,
) -> Outcome<(Vec<T>, Option<String>)> {
    let size = match params.number::<usize>("MaxResults")? {
        None => usize::MAX,
        Some(n) if n < *PAGE.start() => {
            return Err(ApiError::invalid_value(format!(
                "Value ( {n} ) for parameter maxResults is invalid. Expecting a value greater than {}.",
                PAGE.start()
            )));
        }
        Some(n) => n.min(*PAGE.end()),
    };
    let from = match params.get("NextToken") {
        None => None,
        Some(token) => Some(token.strip_prefix("after-").ok_or_else(|| {
            ApiError::new("InvalidNextToken", format!("The token '{token}' is invalid"))
        })?),
    };
    let mut rest =
        found.into_iter().filter(|(id, _)| from.is_none_or(|from| &**id > from)).peekable();
    let mut shown = Vec::new();
    let mut last = String::new();
    while shown.len() < size
        && let Some((id, item)) = rest.next()
    {
        last = id;
        shown.push(item);
    }
    Ok((shown, rest.peek().map(|_| format!("after-{last}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_ec2() {
        for (pattern, text, expected) in
            [("a*", "abc", true), ("*c", "abc", true), ("a?c", "abc", true), ("a", "abc", false)]
        {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn pages_follow_one_another_without_a_gap() {
        let all = |n: usize| (0..n).map(|i| (format!("{i:02}"), i)).collect::<Vec<_>>();
        let (first, token) = page(&Params::parse(b"MaxResults=5"), all(7)).unwrap();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        let next = format!("MaxResults=5&NextToken={}", token.unwrap());
        assert_eq!(page(&Params::parse(next.as_bytes()), all(7)).unwrap(), (vec![5, 6], None));
    }
}
