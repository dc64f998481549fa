//! The nearest known key.

use crate::spec::{error::Why, key::KEYS, peers::PEERS};

/// What to do about an unknown key: the nearest known one, ours before the others'.
pub(super) fn advice(folded: &str) -> Why {
    const LONGEST: usize = 40;
    let stem = folded.split_once('.').map_or(folded, |(stem, _)| stem);
    if folded.len() <= LONGEST {
        let ours = KEYS.iter().flat_map(|row| row.aliases.iter().chain([&row.name]));
        let theirs = PEERS.iter().flat_map(|(names, _)| *names);
        let distance = |name: &str| {
            // `label.KEY` is met by its stem alone.
            let (name, key) = if name == "label.KEY" { ("label", stem) } else { (name, folded) };
            strsim::damerau_levenshtein(name, key)
        };
        let nearest = ["name"].iter().chain(ours).chain(theirs).min_by_key(|name| distance(name));
        if let Some(name) = nearest.filter(|name| distance(name) <= (stem.len() / 3).clamp(1, 3)) {
            return format!("did you mean `{name}`?").into();
        }
    }
    "`-o help` and `hawser spec --help-keys` list the keys".into()
}
