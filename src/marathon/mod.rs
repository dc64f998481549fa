//! Marathon's app definitions: what is wrong with them, and how another plugin's become ours. Pure: no I/O.
//!
//! ```text
//! text ──document──▶ apps, pods ──app──▶ volumes, each with its spec ──check──▶ findings
//!                                                                    └─convert─▶ the same text for hawser
//! ```
//!
//! An app is read field by field and not into a type: Marathon has some hundred fields, and whatever is
//! not about volumes is left as it is written.

mod app;
mod check;
mod convert;
mod document;
mod finding;
mod json;
mod rules;
mod volume;

pub use check::{Context, check};
pub use convert::{ConvertError, Converted, convert};
pub use document::NotApps;
pub use finding::{Finding, Level, Report};
pub use rules::{RULES, Rule};
