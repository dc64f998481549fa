//! Values: what a key can hold, read from text and written back in one form only.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    AttachPolicy, BackendKind, Bytes, EbsType, FsType, Mode, NfsLayout, OnRemove, ParseBytesError,
    Preempt, Provision, Sharing, Squash, Sticky,
    choice::{choose, flag},
    error::Why,
    mkfs, mount,
};

/// The value of a stated field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `size`.
    Size(Bytes),
    /// `backend`.
    Backend(BackendKind),
    /// `fs`.
    Fs(FsType),
    /// `shared`.
    Sharing(Sharing),
    /// `squash`.
    Squash(Squash),
    /// `scale`.
    Scale(Scale),
    /// `mount_options`, as `mount -o` takes them.
    MountOptions(Vec<String>),
    /// `mkfs_options`, as the arguments of mkfs.
    MkfsOptions(Vec<String>),
    /// `uid` and `gid`.
    Id(u32),
    /// `mode`.
    Mode(Mode),
    /// `provision`.
    Provision(Provision),
    /// `on_remove`.
    OnRemove(OnRemove),
    /// `sticky`.
    Sticky(Sticky),
    /// `preempt`.
    Preempt(Preempt),
    /// All of `label.KEY`.
    Labels(BTreeMap<String, String>),
    /// A number of a backend's: `iops`, `throughput`.
    Number(u32),
    /// A boolean of a backend's: `encrypted`.
    Flag(bool),
    /// A word of a backend's.
    Text(String),
}

const SCALE: &str = "a group has 1 to 1024 volumes";

/// How many volumes a group may have: 1 to 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Scale(u16);

impl TryFrom<u16> for Scale {
    type Error = &'static str;

    fn try_from(count: u16) -> Result<Self, &'static str> {
        if (1..=1024).contains(&count) { Ok(Self(count)) } else { Err(SCALE) }
    }
}

impl From<Scale> for u16 {
    fn from(scale: Scale) -> Self {
        scale.0
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scale {
    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Value {
    /// The canonical form. Labels are written one by one by their holder; all of them here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Backend(kind) => kind.fmt(f),
            Self::Fs(fs) => fs.fmt(f),
            Self::Sharing(sharing) => f.pad(sharing.flag_word()),
            Self::Squash(squash) => squash.fmt(f),
            Self::Scale(scale) => scale.fmt(f),
            Self::MountOptions(options) => f.pad(&options.join(";")),
            Self::MkfsOptions(arguments) => f.pad(&mkfs::text(arguments)),
            Self::Id(number) | Self::Number(number) => number.fmt(f),
            Self::Mode(mode) => mode.fmt(f),
            Self::Provision(provision) => provision.fmt(f),
            Self::OnRemove(on_remove) => on_remove.fmt(f),
            Self::Sticky(sticky) => f.pad(sticky.flag_word()),
            Self::Preempt(preempt) => preempt.fmt(f),
            Self::Labels(labels) => {
                let pairs: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                f.pad(&pairs.join(";"))
            }
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => f.pad(text),
        }
    }
}

/// What those hear who ask for NFS as a file system or as a type.
const NFS_IS_A_BACKEND: &str =
    "a volume on an NFS server is backend=nfs, or export=NAME with the name of a configured export";

fn is_nfs(text: &str) -> bool {
    ["nfs", "nfs3", "nfs4"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The largest EBS volume: a larger size needs its unit written.
const BARE_MAX: Bytes = Bytes::gib(64 * 1024);

pub(super) fn size(text: &str) -> Result<Value, Why> {
    match text.parse::<Bytes>() {
        Ok(Bytes::ZERO) => {
            Err("a volume needs more than nothing: write a size such as 10GiB".into())
        }
        // Far more likely bytes, as the loopback plugin reads a bare number, than GiB.
        Ok(size) if size > BARE_MAX && text.bytes().all(|b| b.is_ascii_digit()) => {
            Err("that many GiB is hardly meant: write the unit, B for bytes or G for GiB".into())
        }
        Ok(size) => Ok(Value::Size(size)),
        // Not their own messages: these hold the whole text.
        Err(ParseBytesError::NotASize(_)) => Err("not a size: write a whole number with B, K, M, \
            G or T, such as 512M or 10GiB (a bare number is GiB)"
            .into()),
        Err(ParseBytesError::Overflow(_)) => {
            Err("larger than any volume can be: stay below 8 EiB".into())
        }
    }
}

pub(super) fn backend(text: &str) -> Result<Value, Why> {
    choose(text).map(Value::Backend)
}

pub(super) fn fs(text: &str) -> Result<Value, Why> {
    if is_nfs(text) {
        return Err(NFS_IS_A_BACKEND.into());
    }
    text.parse().map(Value::Fs).map_err(|_| {
        let known = FsType::ALL.map(FsType::as_str).join(" or ");
        format!("not a file system that hawser formats: use {known}").into()
    })
}

pub(super) fn shared(text: &str) -> Result<Value, Why> {
    flag(text).map(|shared| Value::Sharing(Sharing::from_flag(shared)))
}

pub(super) fn squash(text: &str) -> Result<Value, Why> {
    choose(text).map(Value::Squash)
}

pub(super) fn scale(text: &str) -> Result<Value, Why> {
    let count = number(text).and_then(|count| u16::try_from(count).ok());
    let scale = count.ok_or(SCALE).and_then(Scale::try_from);
    scale.map(Value::Scale).map_err(Into::into)
}

pub(super) fn mount_options(text: &str) -> Result<Value, Why> {
    mount::parse(text).map(Value::MountOptions)
}

pub(super) fn mkfs_options(text: &str) -> Result<Value, Why> {
    mkfs::parse(text).map(Value::MkfsOptions)
}

pub(super) fn id(text: &str) -> Result<Value, Why> {
    // chown(2) takes the largest number, -1, for "leave it alone".
    match number(text) {
        Some(id) if id < u32::MAX => Ok(Value::Id(id)),
        Some(_) | None => Err("write the number of a user or group, such as 1000: names are not \
            known outside the container"
            .into()),
    }
}

pub(super) fn mode(text: &str) -> Result<Value, Why> {
    text.parse().map(Value::Mode).map_err(|not| format!("{not}").into())
}

pub(super) fn provision(text: &str) -> Result<Value, Why> {
    choose(text).map(Value::Provision)
}

pub(super) fn on_remove(text: &str) -> Result<Value, Why> {
    choose(text).map(Value::OnRemove)
}

pub(super) fn sticky(text: &str) -> Result<Value, Why> {
    flag(text).map(|sticky| Value::Sticky(Sticky::from_flag(sticky)))
}

/// REX-Ray's `true` takes a volume from whoever has it, mounted or not, without a question: no word of
/// ours means that. Its `false` is `never`.
pub(super) fn preempt(text: &str) -> Result<Value, Why> {
    match flag(text) {
        Ok(false) => Ok(Value::Preempt(Preempt::Never)),
        Ok(true) => Err("REX-Ray's `true` takes a volume also from a node that uses it, which is \
            never done here; a node that lets go of it, or whose instance is dead, loses it anyway: \
            remove it, or write preempt=force to take it also from an instance that runs and does \
            not answer (what was not synced there is lost)"
            .into()),
        Err(_) => choose(text).map(Value::Preempt),
    }
}

/// `label` itself takes nothing: its keys are read by the parser.
pub(super) fn label(_: &str) -> Result<Value, Why> {
    Err("a label has a key: write label.KEY=VALUE".into())
}

pub(super) fn ebs_type(text: &str) -> Result<Value, Why> {
    match text.parse::<EbsType>() {
        Ok(volume_type) => Ok(Value::Text(volume_type.to_string())),
        Err(_) if is_nfs(text) => Err(NFS_IS_A_BACKEND.into()),
        Err(_) => {
            Err("not an EBS volume type: use gp3, gp2, io2, io1, st1, sc1 or standard".into())
        }
    }
}

pub(super) fn attach(text: &str) -> Result<Value, Why> {
    text.parse::<AttachPolicy>().map(|policy| Value::Text(policy.to_string()))
}

pub(super) fn layout(text: &str) -> Result<Value, Why> {
    text.parse::<NfsLayout>().map(|layout| Value::Text(layout.to_string()))
}

pub(super) fn count(text: &str) -> Result<Value, Why> {
    match number(text) {
        Some(count) if count > 0 => Ok(Value::Number(count)),
        Some(_) | None => Err("write a whole number above zero".into()),
    }
}

pub(super) fn switch(text: &str) -> Result<Value, Why> {
    flag(text).map(Value::Flag)
}

/// A snapshot's id. Checked here, for EC2 says of anything else only that it is malformed.
pub(super) fn snapshot(text: &str) -> Result<Value, Why> {
    let id = text.strip_prefix("snap-").unwrap_or_default();
    if (1..=32).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(Value::Text(text.to_owned()));
    }
    Err("not the id of a snapshot: write it as EC2 does, such as snap-0123456789abcdef0".into())
}

pub(super) fn word(text: &str) -> Result<Value, Why> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_./:@+-[]".contains(&b);
    if text.len() > 256 || !text.bytes().all(allowed) {
        return Err("write at most 256 letters, digits and `_./:@+-`".into());
    }
    Ok(Value::Text(text.to_owned()))
}

fn number(text: &str) -> Option<u32> {
    // Not `parse` alone: it takes a `+`.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
