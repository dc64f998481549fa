//! The steps that the plan would have the engine take, told without taking them.

use super::{Effect, Here, Observed, Record, Step, Want, next};
use crate::volume::{effect, transition};

/// The steps that the engine would take now, each taken to succeed: for `hawser doctor`.
#[must_use]
pub fn foresee(mut record: Record, mut seen: Observed, here: &Here<'_>) -> Vec<String> {
    let want = if record.is_held() { Want::Mounted } else { Want::Released };
    let mut steps = Vec::new();
    // Every step brings it nearer to the end; the limit only guards against a plan that does not.
    while steps.len() < 20 {
        let event = match next(&record, Some(&seen), want, here) {
            Step::Record(event) => Some(event),
            Step::Do(effect) => {
                steps.push(effect.name().to_owned());
                if effect == Effect::Recall {
                    // It is the other node's answer that decides.
                    break;
                }
                let (after, event) =
                    effect::absorb(seen, effect, effect::Outcome::foreseen(effect, &record));
                seen = after;
                event
            }
            Step::Stuck(problem) => {
                steps.push(problem.to_string());
                break;
            }
            Step::Forget => {
                steps.push("forget".to_owned());
                break;
            }
            Step::Leave(why) => {
                steps.push(format!("leave it to other nodes ({why})"));
                break;
            }
            Step::Wait(_) | Step::Idle => break,
        };
        if let Some(event) = event {
            record = transition::apply(&record, event, here.now).unwrap_or(record);
        }
    }
    steps
}
