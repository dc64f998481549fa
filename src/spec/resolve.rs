//! From what was stated to a complete spec, or why this node cannot have it.
//!
//! A key that only one backend has chooses that backend: `iops=3000` is an EBS volume, also
//! where `backend=ebs` is not written. So no such key is ever ignored.

use super::{
    BackendKind, BackendSpec, Bytes, Defaults, EbsSpec, FsType, Key, LocalSpec, NfsLayout, NfsSpec,
    Ownership, Sharing, Spec, SpecError, Squash, Stated, VolumeName,
    ebs::check_tags,
    error::{Shown, Why},
    mkfs, mount,
    nfs::NO_FILE_SYSTEM,
};

/// The least size of a volume with this file system.
///
/// ext4: mke2fs 1.47 gives a journal from 2 MiB on, but spends half of that on it; at 16 MiB
/// 14 are free. xfs: mkfs.xfs has refused less than 300 MiB since 5.19.
#[must_use]
pub fn minimum_size(fs: FsType) -> Bytes {
    match fs {
        FsType::Ext4 => Bytes::mib(16),
        FsType::Xfs => Bytes::mib(300),
    }
}

impl Stated {
    /// The complete spec: what was stated, and the defaults for the rest.
    ///
    /// # Errors
    /// What this node cannot provide, and options that the chosen file system does not have.
    pub fn resolve(&self, name: &VolumeName, defaults: &Defaults) -> Result<Spec, SpecError> {
        if let Some(scale) = self.scale() {
            // The last one's is the longest.
            name.of_member(scale.get()).map_err(|_| SpecError::Refused {
                key: Shown::new(Key::Scale.as_str()),
                why: format!(
                    "members are called {name}_001 and so on, and the name leaves no room for that: \
                     use a shorter one"
                )
                .into(),
            })?;
        }
        let asked = self.size().or(self.assumed_size).unwrap_or_else(|| defaults.size_of(name));
        let backend = self.resolve_backend(name, defaults, asked)?;
        let size = backend.round_up(asked);
        let fs = self.fs().unwrap_or_else(|| self.default_fs(defaults));
        if backend.is_directory() {
            self.check_directory()?;
        } else if size < minimum_size(fs) {
            return Err(SpecError::TooSmall { size, fs, minimum: minimum_size(fs) });
        }
        if self.preempt().is_some() {
            backend.check_preempt()?;
        }
        let mounted = backend.mounted(fs);
        let sharing = if backend.is_directory() { Sharing::Shared } else { Sharing::default() };
        let sharing = self.sharing().unwrap_or(sharing);
        let squash = self.resolve_squash(sharing, &backend)?;
        let spec = Spec {
            size,
            fs,
            sharing,
            squash,
            scale: self.scale(),
            mount_options: self.checked(Key::MountOptions, self.mount_options(), |options| {
                mount::check_for(mounted, options)
            })?,
            mkfs_options: self.checked(Key::MkfsOptions, self.mkfs_options(), |options| {
                mkfs::check_for(fs, options)
            })?,
            owner: Ownership { uid: self.id(Key::Uid), gid: self.id(Key::Gid), mode: self.mode() },
            on_remove: self.on_remove(),
            sticky: self.sticky().unwrap_or_default(),
            preempt: self.preempt().unwrap_or_default(),
            labels: self.labels().cloned().unwrap_or_default(),
            backend,
        };
        match &spec.backend {
            BackendSpec::Ebs(_) => check_tags(&spec).map(|()| spec),
            BackendSpec::Local(_) | BackendSpec::Nfs(_) => Ok(spec),
        }
    }

    /// The file system of a volume that states none.
    pub(super) fn default_fs(&self, defaults: &Defaults) -> FsType {
        let (backend, _) = self.choose_backend(defaults);
        let directory = backend == BackendKind::Nfs && self.layout() == NfsLayout::Directory;
        if self.sharing() == Some(Sharing::Shared)
            && !directory
            && self.get(Key::Snapshot).is_none()
        {
            return defaults.shared_fs;
        }
        defaults.fs
    }

    /// The backend that was stated, or the only one that has a key which was stated, or the
    /// default one. That these agree, the parser saw to.
    pub(super) fn choose_backend(&self, defaults: &Defaults) -> (BackendKind, Option<Key>) {
        let implied = self.iter().find_map(|(key, _)| Some((key.backend()?, Some(key))));
        let stated = self.backend().map(|kind| (kind, Some(Key::Backend)));
        stated.or(implied).unwrap_or((defaults.backend, None))
    }

    fn resolve_backend(
        &self,
        name: &VolumeName,
        defaults: &Defaults,
        size: Bytes,
    ) -> Result<BackendSpec, SpecError> {
        let (backend, because_of) = self.choose_backend(defaults);
        match (backend, &defaults.ebs, &defaults.nfs) {
            (BackendKind::Local, _, _) => Ok(BackendSpec::Local(LocalSpec {
                provision: self.provision().unwrap_or(defaults.provision),
            })),
            (BackendKind::Ebs, Some(ebs), _) => EbsSpec::new(self, ebs, size).map(BackendSpec::Ebs),
            (BackendKind::Nfs, _, Some(nfs)) => NfsSpec::new(self, name, nfs).map(BackendSpec::Nfs),
            (BackendKind::Ebs, None, _) | (BackendKind::Nfs, _, None) => {
                let key = self.written(because_of.unwrap_or(Key::Backend));
                Err(SpecError::Backend { key: Shown::new(key), backend })
            }
        }
    }

    /// It is the owner's NFS server that squashes: there has to be one.
    fn resolve_squash(&self, sharing: Sharing, backend: &BackendSpec) -> Result<Squash, SpecError> {
        let Some(squash) = self.squash() else { return Ok(Squash::default()) };
        let why = if backend.is_directory() {
            "it is the NFS server that squashes: remove it, and set it in that server's export"
        } else if sharing == Sharing::Exclusive {
            "tasks of other nodes do not reach a volume that is not shared: remove it, or write \
             shared=true"
        } else {
            return Ok(squash);
        };
        let key = Shown::new(self.written(Key::Squash));
        Err(SpecError::Refused { key, why: why.into() })
    }

    /// Nothing is stated that a directory does not have.
    fn check_directory(&self) -> Result<(), SpecError> {
        let (keys, why) = NO_FILE_SYSTEM;
        match keys.into_iter().find(|key| self.get(*key).is_some()) {
            Some(key) => {
                Err(SpecError::Refused { key: Shown::new(self.written(key)), why: why.into() })
            }
            None => Ok(()),
        }
    }

    /// The options of `key`, of which `check` said whether the file system has them.
    fn checked(
        &self,
        key: Key,
        options: Option<&[String]>,
        check: impl Fn(&[String]) -> Result<(), Why>,
    ) -> Result<Vec<String>, SpecError> {
        let options = options.unwrap_or_default();
        check(options).map(|()| options.to_vec()).map_err(|why| SpecError::Value {
            key: Shown::new(self.written(key)),
            value: Shown::new(&options.join(" ")),
            why,
        })
    }
}

impl Defaults {
    /// The size of a volume that states none.
    #[must_use]
    pub fn size_of(&self, name: &VolumeName) -> Bytes {
        if name.is_anonymous() { self.anonymous_size } else { self.size }
    }
}

#[cfg(test)]
mod tests;
