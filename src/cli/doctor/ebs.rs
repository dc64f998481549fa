//! The EBS backend: what it says of itself.

use super::Finding;
use crate::config::Config;

/// What was found, and whether the volumes on it can be asked for. Nothing where it is off.
#[cfg(feature = "ebs")]
pub(super) async fn findings(config: &Config) -> (Vec<Finding>, Reach) {
    use super::{good, note, problem};
    use crate::{backend::ebs::Health, cli::backends};

    let Some(ebs) = backends::open_ebs(config) else { return (Vec::new(), Reach::Whole) };
    let found = ebs.diagnose().await;
    let answers = found.iter().any(|one| one.subject == "EC2" && one.health == Health::Good);
    let finding = |one: crate::backend::ebs::Diagnosis| match one.health {
        Health::Good => good(one.subject, one.detail),
        Health::Note => note(one.subject, one.detail),
        Health::Bad => problem(one.subject, one.detail),
    };
    let reach = if answers { Reach::Whole } else { Reach::WithoutEbs };
    (found.into_iter().map(finding).collect(), reach)
}

/// A hawser without it has nothing to say.
#[cfg(not(feature = "ebs"))]
#[allow(clippy::unused_async, reason = "as it is with the backend")]
pub(super) async fn findings(_config: &Config) -> (Vec<Finding>, Reach) {
    (Vec::new(), Reach::Whole)
}

/// Which backends answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Reach {
    /// All of them.
    Whole,
    /// EC2 does not: asking for each volume would take the deadline each time.
    WithoutEbs,
}
