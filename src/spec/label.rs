//! Labels: `label.KEY=VALUE`, free text for the user's own purposes.
//!
//! The characters are those that every carrier takes: EBS tags take them, no `,` ends an inline
//! spec and no `:` a docker volume argument.

use super::error::Why;

const KEY_MAX: usize = 100;
const VALUE_MAX: usize = 200;

/// EBS takes 50 tags per volume; the rest is for hawser's own.
pub(super) const COUNT_MAX: usize = 40;

/// Whether `key` can be a label's key.
pub(super) fn check_key(key: &str) -> Result<(), Why> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if !key.starts_with(|c: char| c.is_ascii_alphanumeric()) || !key.chars().all(allowed) {
        return Err("a label's key takes letters, digits, `_`, `.`, `-` and `/`, and begins with \
                    a letter or a digit: write label.KEY=VALUE"
            .into());
    }
    if key.len() > KEY_MAX {
        return Err(format!("a label's key has at most {KEY_MAX} characters").into());
    }
    if key.to_ascii_lowercase().starts_with("hawser") {
        return Err("label keys that begin with `hawser` are hawser's own: use another".into());
    }
    Ok(())
}

/// Whether `value` can be a label's value.
pub(super) fn check_value(value: &str) -> Result<(), Why> {
    let allowed = |c: char| c.is_alphanumeric() || " +-=._/@".contains(c);
    if !value.chars().all(allowed) {
        return Err("a label's value takes letters, digits, spaces and `+-=._/@`".into());
    }
    if value.chars().count() > VALUE_MAX {
        return Err(format!("a label's value has at most {VALUE_MAX} characters").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_hold_what_every_carrier_can_carry() {
        assert_eq!(check_key("team"), Ok(()));
        assert_eq!(check_key("example.com/cost-center"), Ok(()));
        assert_eq!(check_value("a b=c@d/é"), Ok(()));
        for bad in ["", ".a", "a b", "a:b", "a=b", "hawser", "HAWSER.cluster", &"a".repeat(101)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
        for bad in ["a,b", "a:b", "a\nb", "a;b", &"a".repeat(201)] {
            assert!(check_value(bad).is_err(), "{bad}");
        }
    }
}
