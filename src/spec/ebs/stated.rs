//! From what a user stated to an EBS volume: a new one, or another performance of one that exists.

use super::{EbsDefaults, EbsSpec};
use crate::spec::{Bytes, Key, SpecError, Stated, Value, error::Shown};

/// What a volume from a snapshot has already, and why it cannot be stated.
pub(in crate::spec) const WITH_SNAPSHOT: ([Key; 5], &str) = (
    [Key::Fs, Key::MkfsOptions, Key::Uid, Key::Gid, Key::Mode],
    "the file system comes with the snapshot, with its type and its root directory's owner: \
     remove one of them",
);

/// What EBS cannot change of a volume that exists, and why.
const FIXED: [(Key, &str); 4] = [
    (
        Key::Encrypted,
        "EBS cannot encrypt or decrypt a volume that exists: make a new one, empty or from a \
         snapshot of this one",
    ),
    (
        Key::KmsKey,
        "EBS cannot change the key of a volume that exists: make a new one from a snapshot of \
         this one",
    ),
    (
        Key::Zone,
        "an EBS volume stays in its availability zone: make a new one there from a snapshot of \
         this one",
    ),
    (Key::Snapshot, "a snapshot is what a volume is made from: make a new one from it"),
];

impl EbsSpec {
    /// The spec of a new volume of `size`.
    pub(in crate::spec) fn new(
        stated: &Stated,
        defaults: &EbsDefaults,
        size: Bytes,
    ) -> Result<Self, SpecError> {
        let stated_key = stated.text(Key::KmsKey).map(str::to_owned);
        let encrypted = match (stated.flag(Key::Encrypted), &stated_key) {
            (Some(encrypted), _) => Some(encrypted),
            (None, Some(_)) => Some(true),
            (None, None) => defaults.encrypted,
        };
        // What is not to be encrypted needs no key, also where one is configured.
        let default_key = defaults.kms_key.clone().filter(|_| encrypted != Some(false));
        let kms_key = stated_key.or(default_key);
        let spec = Self {
            volume_type: stated.word(Key::Type).unwrap_or(defaults.volume_type),
            iops: stated.number(Key::Iops),
            throughput: stated.number(Key::Throughput),
            encrypted: if kms_key.is_some() { Some(true) } else { encrypted },
            kms_key,
            zone: stated.text(Key::Zone).map(str::to_owned).or_else(|| defaults.zone.clone()),
            snapshot: stated.text(Key::Snapshot).map(str::to_owned),
            attach: stated.word(Key::Attach).unwrap_or(defaults.attach),
        };
        spec.check(size).map(|()| spec)
    }

    /// This volume with what is stated of `type`, `iops`, `throughput` and `attach`, at `size`, its
    /// present or its next one. Keys that are not of EBS are not looked at.
    ///
    /// With another type, IOPS and throughput that are not stated are kept where it takes them.
    ///
    /// # Errors
    /// What EBS cannot change of a volume, if it is stated otherwise than it is; a broken limit.
    pub fn changed(&self, stated: &Stated, size: Bytes) -> Result<Self, SpecError> {
        for (key, why) in FIXED {
            let (Some(value), present) = (stated.get(key), self.present(key)) else { continue };
            if present.as_ref().is_none_or(|present| !same_key(value, present)) {
                let key = Shown::new(stated.written(key));
                return Err(SpecError::Refused { key, why: why.into() });
            }
        }
        let volume_type = stated.word(Key::Type).unwrap_or(self.volume_type);
        let limits = volume_type.limits();
        let (iops, throughput) = if volume_type == self.volume_type {
            (self.iops, self.throughput)
        } else {
            // EC2 would put its own value where none is sent with another type: send what there is.
            (
                self.effective_iops().filter(|_| limits.iops.is_some()),
                self.effective_throughput().filter(|_| limits.throughput.is_some()),
            )
        };
        let changed = Self {
            volume_type,
            iops: stated.number(Key::Iops).or(iops),
            throughput: stated.number(Key::Throughput).or(throughput),
            attach: stated.word(Key::Attach).unwrap_or(self.attach),
            ..self.clone()
        };
        changed.check(size).map(|()| changed)
    }
}

impl EbsSpec {
    /// What this volume has of a key of EBS, as if it had been stated.
    pub(in crate::spec) fn present(&self, key: Key) -> Option<Value> {
        let text = |text: &Option<String>| text.clone().map(Value::Text);
        match key {
            Key::Type => Some(Value::Text(self.volume_type.to_string())),
            Key::Iops => self.effective_iops().map(Value::Number),
            Key::Throughput => self.effective_throughput().map(Value::Number),
            Key::Encrypted => self.encrypted.map(Value::Flag),
            Key::KmsKey => text(&self.kms_key),
            Key::Zone => text(&self.zone),
            Key::Snapshot => text(&self.snapshot),
            Key::Attach => Some(Value::Text(self.attach.to_string())),
            Key::Size
            | Key::Backend
            | Key::Fs
            | Key::Shared
            | Key::Squash
            | Key::Scale
            | Key::MountOptions
            | Key::MkfsOptions
            | Key::Uid
            | Key::Gid
            | Key::Mode
            | Key::Provision
            | Key::OnRemove
            | Key::Sticky
            | Key::Preempt
            | Key::Label
            | Key::Export
            | Key::Path
            | Key::Layout => None,
        }
    }
}

/// Whether the values are equal. Of a KMS key, which EC2 tells as an ARN, the id alone is the same.
pub(in crate::spec) fn same_key(one: &Value, other: &Value) -> bool {
    let (Value::Text(one_text), Value::Text(other_text)) = (one, other) else {
        return one == other;
    };
    let is_id_of = |id: &str, arn: &str| {
        let mut parts = arn.splitn(6, ':');
        let kms = parts.next() == Some("arn") && parts.nth(1) == Some("kms");
        kms && parts.nth(2).is_some_and(|key| key == id || key.strip_prefix("key/") == Some(id))
    };
    one_text == other_text || is_id_of(one_text, other_text) || is_id_of(other_text, one_text)
}

#[cfg(test)]
mod tests;
