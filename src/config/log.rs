//! The filter of the log: a level, or levels by target.

use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Levels that REX-Ray has and `tracing` has not, with what is nearest.
const OTHER_LEVELS: [(&str, &str); 3] =
    [("panic", "error"), ("fatal", "error"), ("warning", "warn")];

/// Levels that mean hawser's own log: a library such as the AWS SDK writes pages for every call, and
/// is asked for by name (`aws_smithy_runtime=debug`).
const OURS_ONLY: [&str; 3] = ["info", "debug", "trace"];

/// TLS warns of what strangers send to the peer port, in a line for each. Our own lines about them are
/// limited (`peer/refusals.rs`).
const TLS: &str = "rustls=error";

/// Reads a filter, in which a plain level is of hawser's own log.
pub(super) fn filter(text: &str) -> Result<String, String> {
    let filter = level_or_filter(text)?;
    let level = filter.to_ascii_lowercase();
    Ok(if OURS_ONLY.contains(&level.as_str()) {
        format!("warn,{TLS},hawser={level}")
    } else {
        filter
    })
}

/// Reads a filter, as it is written. What is neither a level nor names a target and its level is a mistake:
/// `EnvFilter` itself takes any word for a target, and logs nothing then.
pub(super) fn level_or_filter(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, level)) = OTHER_LEVELS.iter().find(|(word, _)| *word == lower) {
        return Ok((*level).to_owned());
    }
    let plain = |part: &str| !part.contains(['=', '[', ':']);
    for part in text.split(',').map(str::trim).filter(|part| plain(part)) {
        let level = LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level));
        if !level && part != env!("CARGO_PKG_NAME") {
            return Err(format!(
                "`{part}` is not a level: use {}, or TARGET=LEVEL",
                LEVELS.join(", ")
            ));
        }
    }
    text.parse::<EnvFilter>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_a_mistake() {
        for right in ["WARN", "off", "warn,hawser::engine=debug", "hawser=trace", "hawser"] {
            assert_eq!(filter(right).as_deref(), Ok(right));
        }
        for wrong in ["loud", "", "info,loud", "hawser=loud", "3,x"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
        assert!(filter("loud").unwrap_err().contains("use off, error, warn, info, debug, trace"));
    }

    #[test]
    fn a_plain_level_is_hawsers_own() {
        assert_eq!(filter("debug").as_deref(), Ok("warn,rustls=error,hawser=debug"));
        assert_eq!(filter("INFO").as_deref(), Ok("warn,rustls=error,hawser=info"));
    }

    #[test]
    fn the_levels_of_rex_ray_are_known() {
        assert_eq!(filter("warning").as_deref(), Ok("warn"));
        assert_eq!(filter("fatal").as_deref(), Ok("error"));
    }
}
