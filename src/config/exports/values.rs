//! How the values of the NFS backend's settings are written.

use std::{str::FromStr, time::Duration};

use crate::{
    backend::nfs::{Control, NfsVersion, Secret},
    config::{boolean, duration},
    spec::transfer_size,
};

/// The kernel's longest time for a request over TCP (NFS_MAX_TCP_TIMEOUT).
const TIMEO_MAX: Duration = Duration::from_secs(600);

/// Mount options that hawser writes itself.
const OWN: [&str; 29] = [
    "addr",
    "bg",
    "fg",
    "hard",
    "local_lock",
    "lock",
    "minorversion",
    "mountaddr",
    "mountport",
    "mountproto",
    "mountvers",
    "nconnect",
    "nfsvers",
    "nolock",
    "noresvport",
    "port",
    "proto",
    "remount",
    "resvport",
    "retrans",
    "retry",
    "ro",
    "rsize",
    "rw",
    "tcp",
    "timeo",
    "udp",
    "vers",
    "wsize",
];

/// A value, or `auto`.
pub(super) fn auto<T>(
    text: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text == "auto" { Ok(None) } else { parse(text).map(Some) }
}

pub(super) fn versions(text: &str) -> Result<Option<Vec<NfsVersion>>, String> {
    auto(text, |text| {
        let mut versions = Vec::new();
        for version in text.split(',') {
            let version = version.trim().parse()?;
            if versions.contains(&version) {
                return Err(format!("{version} is given twice"));
            }
            versions.push(version);
        }
        Ok(versions)
    })
}

pub(super) fn auto_port(text: &str) -> Result<Option<u16>, String> {
    auto(text, port).map_err(|_| "must be auto or a number from 1 to 65535".into())
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    between(text, 1, u16::MAX)
}

pub(super) fn control(text: &str) -> Result<Option<Control>, String> {
    match text {
        "auto" => Ok(None),
        "v3" => Ok(Some(Control::V3)),
        "mount" => Ok(Some(Control::Mount)),
        _ => Err("must be auto, v3 or mount".into()),
    }
}

pub(super) fn auto_boolean(text: &str) -> Result<Option<bool>, String> {
    auto(text, boolean).map_err(|_| "must be auto, true or false".into())
}

/// A user or a group. The largest number means "leave it alone" to chown(2).
pub(super) fn id(text: &str) -> Result<u32, String> {
    between(text, 0, u32::MAX - 1)
}

pub(super) fn timeo(text: &str) -> Result<Duration, String> {
    let timeo = duration(text)?;
    // The mount option counts in tenths of a second.
    if timeo.is_zero() || timeo > TIMEO_MAX || timeo.subsec_nanos() % 100_000_000 != 0 {
        return Err("must be from 100ms to 10m, in whole tenths of a second".into());
    }
    Ok(timeo)
}

pub(super) fn retrans(text: &str) -> Result<u32, String> {
    between(text, 1, 100)
}

/// The kernel takes sixteen at most (NFS_MAX_CONNECTIONS).
pub(super) fn nconnect(text: &str) -> Result<Option<u8>, String> {
    auto(text, |text| between(text, 1, 16))
        .map_err(|_| "must be auto or a number from 1 to 16".into())
}

pub(super) fn transfer(text: &str) -> Result<Option<u32>, String> {
    auto(text, |text| transfer_size(text).map_err(|why| format!("must be auto, or {why}")))
}

/// The operator's own mount options.
pub(super) fn options(text: &str) -> Result<Vec<String>, String> {
    let options = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
    options.map(|option| check_option(option).map(|()| option.to_owned())).collect()
}

fn check_option(option: &str) -> Result<(), String> {
    let (name, _) = option.split_once('=').unwrap_or((option, ""));
    match name {
        "" => Err("an option is empty: separate options with one comma".into()),
        _ if !option.bytes().all(|b| b.is_ascii_graphic()) => {
            Err("an option holds a space or another character that no option has".into())
        }
        "soft" | "softerr" => {
            Err(format!("`{name}` is not accepted: it gives up data that was reported as written"))
        }
        _ if OWN.contains(&name) => Err(format!(
            "`{name}` is not accepted: it is hawser's own, or a setting beside this one says it"
        )),
        _ => Ok(()),
    }
}

/// `0s` is never.
pub(super) fn measure_every(text: &str) -> Result<Option<Duration>, String> {
    duration(text).map(|every| (!every.is_zero()).then_some(every))
}

pub(super) fn rate(text: &str) -> Result<u32, String> {
    between(text, 1, 100_000)
}

pub(super) fn secret(text: &str) -> Result<Option<Secret>, String> {
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

/// A name of an export, or none.
pub(super) fn name(text: &str) -> Result<Option<String>, String> {
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn between<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display + Copy,
{
    let number = Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|text| text.parse::<T>().ok()) {
        Some(number) if number >= least && number <= most => Ok(number),
        Some(_) | None => Err(format!("must be a number from {least} to {most}")),
    }
}
