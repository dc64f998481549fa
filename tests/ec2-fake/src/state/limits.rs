//! What each type of volume can be: sizes, IOPS, throughput, as AWS documents them.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html>

use crate::error::{ApiError, Outcome};

/// What a request says about a volume's speed.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    pub(crate) volume_type: &'a str,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
}

/// What a volume has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Performance {
    pub(crate) volume_type: String,
    pub(crate) iops: Option<u32>,
    pub(crate) throughput: Option<u32>,
}

struct Limits {
    gib: (u32, u32),
    iops: Iops,
}

enum Iops {
    /// Nothing to choose.
    None,
    /// Three per GiB.
    Derived,
    /// To be given (`default`: may be left out), at most `ratio` per GiB.
    Chosen { range: (u32, u32), ratio: u32, default: Option<u32> },
}

const THROUGHPUT: (u32, u32) = (125, 2000);

fn limits(volume_type: &str) -> Option<Limits> {
    let chosen = |max, ratio, default: Option<u32>| Iops::Chosen {
        range: (default.unwrap_or(100), max),
        ratio,
        default,
    };
    let (gib, iops) = match volume_type {
        "gp2" => ((1, 16_384), Iops::Derived),
        "gp3" => ((1, 65_536), chosen(80_000, 500, Some(3000))),
        "io1" => ((4, 16_384), chosen(64_000, 50, None)),
        "io2" => ((4, 65_536), chosen(256_000, 1000, None)),
        "st1" | "sc1" => ((125, 16_384), Iops::None),
        "standard" => ((1, 1024), Iops::None),
        _ => return None,
    };
    Some(Limits { gib, iops })
}

/// Whether there can be such a volume, and what it then has.
pub(crate) fn check(gib: u32, wanted: &Wanted<'_>) -> Outcome<Performance> {
    let name = wanted.volume_type;
    let Some(limits) = limits(name) else {
        let message = format!("Value ({name}) for parameter volumeType is invalid.");
        return Err(ApiError::new("UnknownVolumeType", message));
    };
    let (min, max) = limits.gib;
    if gib < min {
        return Err(ApiError::invalid_value(format!(
            "Volume of {gib}GiB is too small; minimum is {min}GiB."
        )));
    }
    if gib > max {
        return Err(ApiError::invalid_value(format!(
            "Volume of {gib}GiB is too large for volume type {name}; maximum is {max}GiB."
        )));
    }
    let iops = check_iops(gib, wanted, &limits.iops)?;
    let throughput = check_throughput(wanted, iops)?;
    Ok(Performance { volume_type: name.to_owned(), iops, throughput })
}

fn check_iops(gib: u32, wanted: &Wanted<'_>, limit: &Iops) -> Outcome<Option<u32>> {
    let (&(min, max), &ratio, default) = match (limit, wanted.iops) {
        (Iops::Chosen { range, ratio, default }, _) => (range, ratio, *default),
        (Iops::None, None) => return Ok(None),
        (Iops::Derived, None) => return Ok(Some(gib.saturating_mul(3).clamp(100, 16_000))),
        (Iops::None | Iops::Derived, Some(_)) => {
            return Err(ApiError::combination(format!(
                "The parameter iops is not supported for {} volumes.",
                wanted.volume_type
            )));
        }
    };
    let iops = wanted.iops.or(default).ok_or_else(|| ApiError::missing("Iops"))?;
    if iops < min {
        return Err(ApiError::invalid_value(format!(
            "Volume iops of {iops} is too low; minimum is {min}."
        )));
    }
    if iops > max {
        return Err(ApiError::invalid_value(format!(
            "Volume iops of {iops} is too high; maximum is {max}."
        )));
    }
    // The default is had at any size.
    if Some(iops) != default && iops > gib.saturating_mul(ratio) {
        let is = f64::from(iops) / f64::from(gib);
        return Err(ApiError::invalid_value(format!(
            "Iops to volume size ratio of {is:.6} is too high; maximum is {ratio}"
        )));
    }
    Ok(Some(iops))
}

fn check_throughput(wanted: &Wanted<'_>, iops: Option<u32>) -> Outcome<Option<u32>> {
    if wanted.volume_type != "gp3" {
        return match wanted.throughput {
            None => Ok(None),
            Some(_) => {
                Err(ApiError::combination("throughput can only be specified for volumeType gp3."))
            }
        };
    }
    let (min, max) = THROUGHPUT;
    let throughput = wanted.throughput.unwrap_or(min);
    if throughput < min {
        return Err(ApiError::invalid_value(format!(
            "Throughput (MiBps) of {throughput} is too low; minimum is {min}."
        )));
    }
    if throughput > max {
        return Err(ApiError::invalid_value(format!(
            "Throughput (MiBps) of {throughput} is too high; maximum is {max}."
        )));
    }
    let iops = iops.unwrap_or(3000);
    if throughput * 4 > iops {
        let is = f64::from(throughput) / f64::from(iops);
        return Err(ApiError::invalid_value(format!(
            "Throughput (MiBps) to iops ratio of {is:.6} is too high; maximum is 0.250000 MiBps \
             per iops"
        )));
    }
    Ok(Some(throughput))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(gib: u32, volume_type: &str, iops: u32, throughput: u32) -> Outcome<Performance> {
        let given = |n: u32| (n > 0).then_some(n);
        check(gib, &Wanted { volume_type, iops: given(iops), throughput: given(throughput) })
    }

    #[test]
    fn gp3_has_its_defaults_at_any_size() {
        let got = ask(1, "gp3", 0, 0).unwrap();
        assert_eq!((got.iops, got.throughput), (Some(3000), Some(125)));
    }

    #[test]
    fn each_limit_is_refused_in_the_words_of_aws() {
        let cases = [
            (0, "gp3", 0, 0, "Volume of 0GiB is too small; minimum is 1GiB."),
            (
                20,
                "gp3",
                15_000,
                0,
                "Iops to volume size ratio of 750.000000 is too high; maximum is 500",
            ),
            (
                100,
                "gp3",
                3000,
                1000,
                "Throughput (MiBps) to iops ratio of 0.333333 is too high; maximum is 0.250000 MiBps per iops",
            ),
            (10, "gp2", 3000, 0, "The parameter iops is not supported for gp2 volumes."),
            (10, "io2", 1000, 200, "throughput can only be specified for volumeType gp3."),
            (10, "io1", 0, 0, "The request must contain the parameter iops"),
            (10, "st1", 0, 0, "Volume of 10GiB is too small; minimum is 125GiB."),
            (100, "gp3", 90_000, 0, "Volume iops of 90000 is too high; maximum is 80000."),
        ];
        for (gib, kind, iops, throughput, text) in cases {
            assert_eq!(ask(gib, kind, iops, throughput).unwrap_err().message, text);
        }
    }
}
