//! Whether a volume is what was asked for: EC2 takes some requests and does something else.

use super::{api::Ec2Volume, error::EbsError, marks, size};
use crate::{
    backend::VolumeRef,
    spec::{EbsSpec, EbsType},
};

/// Refuses a volume that differs from what was asked for, and says in what.
pub(super) fn verify(
    cluster: &str,
    volume: &VolumeRef,
    spec: &EbsSpec,
    seen: &Ec2Volume,
) -> Result<(), EbsError> {
    if let Some(why) = marks::foreign(cluster, volume.id, seen) {
        return Err(EbsError::Foreign { on: seen.id.clone(), why });
    }
    let mut differences = Vec::new();
    let mut differs = |what: &str, wanted: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
        differences.push(format!("{what} is {is}, not {wanted}"));
    };
    let gib = size::gib(volume.spec.size);
    // Larger after a grow.
    if seen.gib < gib {
        differs("its size", &size::bytes(gib), &size::bytes(seen.gib));
    }
    if seen.volume_type != spec.volume_type.as_str() {
        differs("its type", &spec.volume_type, &seen.volume_type);
    }
    for (what, wanted, is) in
        [("its iops", spec.iops, seen.iops), ("its throughput", spec.throughput, seen.throughput)]
    {
        if let Some(wanted) = wanted
            && is != Some(wanted)
        {
            differs(what, &wanted, &is.map_or("not known".to_owned(), |is| is.to_string()));
        }
    }
    // Also with an account that encrypts by default: `encrypted=no` would be a lie then.
    if let Some(wanted) = spec.encrypted
        && seen.encrypted != wanted
    {
        differs("its encryption", &on_off(wanted), &on_off(seen.encrypted));
    }
    if let Some(wanted) = &spec.kms_key {
        let is = seen.kms_key.as_deref().unwrap_or("none");
        if !seen.encrypted || !is_key(wanted, is) {
            differs("its KMS key", wanted, &is);
        }
    }
    for (what, wanted, is) in [
        ("its zone", &spec.zone, Some(&seen.zone)),
        ("its snapshot", &spec.snapshot, seen.snapshot.as_ref()),
    ] {
        if let Some(wanted) = wanted
            && is != Some(wanted)
        {
            differs(what, wanted, is.map_or(&"none", |is| is));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(EbsError::Mismatch { on: seen.id.clone(), differences: differences.join(", ") })
}

fn on_off(encrypted: bool) -> &'static str {
    if encrypted { "on" } else { "off" }
}

/// Whether EC2's ARN is the key that was asked for by its ARN or id. An alias stands for a key that
/// EC2 does not tell.
fn is_key(wanted: &str, arn: &str) -> bool {
    wanted.starts_with("alias/")
        || wanted.contains(":alias/")
        || arn == wanted
        || arn.rsplit('/').next() == Some(wanted)
}

/// The spec, with what it left open as EC2 made it. What was stated stays as it was written; what
/// follows from the size is left open, since it changes with it.
pub(super) fn filled_in(spec: &EbsSpec, seen: &Ec2Volume) -> EbsSpec {
    let chosen = matches!(spec.volume_type, EbsType::Gp3 | EbsType::Io1 | EbsType::Io2);
    let iops = spec.iops.or(seen.iops.filter(|_| chosen));
    let throughput =
        spec.throughput.or(seen.throughput.filter(|_| spec.volume_type == EbsType::Gp3));
    EbsSpec {
        volume_type: spec.volume_type,
        iops,
        throughput,
        encrypted: Some(seen.encrypted),
        kms_key: spec.kms_key.clone().or_else(|| seen.kms_key.clone().filter(|_| seen.encrypted)),
        zone: Some(seen.zone.clone()),
        snapshot: spec.snapshot.clone(),
        attach: spec.attach,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_arn_and_by_its_id_and_an_alias_is_taken_on_trust() {
        let arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";
        for (wanted, expected) in
            [(arn, true), ("1234abcd", true), ("alias/mine", true), ("1234", false)]
        {
            assert_eq!(is_key(wanted, arn), expected, "{wanted}");
        }
    }
}
