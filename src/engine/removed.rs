//! Removed volumes: bringing them back, and deleting them for good.

use std::sync::Arc;

use super::{
    Engine, EngineError, SHORT, View,
    message::{Exclusive, Message},
};
use crate::{
    spec::VolumeName,
    volume::{Phase, Record, VolumeId},
};

impl Engine {
    /// Brings a removed volume back, by its old name or its id.
    ///
    /// # Errors
    ///
    /// Where there is none, or more than one, or its new name is taken.
    pub async fn undelete(
        &self,
        which: &str,
        new_name: Option<VolumeName>,
    ) -> Result<VolumeName, EngineError> {
        let view = self.find_removed(which)?;
        let (id, name) = (view.record.id, new_name.unwrap_or_else(|| view.record.name.clone()));
        self.undelete_one(id, name.clone()).await?;
        if view.record.is_group() {
            self.undelete_members(id).await;
        }
        Ok(name)
    }

    pub(super) async fn undelete_one(
        &self,
        id: VolumeId,
        name: VolumeName,
    ) -> Result<(), EngineError> {
        let handle = self.by_id(id)?;
        let reserved = self.reserve(&name, id)?;
        let wanted = name.clone();
        let ask = |reply| Message::Exclusive(Exclusive::Undelete { name: wanted, reserved, reply });
        Self::ask(&handle, "undelete", &name, SHORT, ask).await
    }

    /// Deletes a removed volume's data now.
    ///
    /// # Errors
    ///
    /// Where there is none, or more than one, or it cannot be deleted yet.
    pub async fn purge(&self, which: &str) -> Result<(), EngineError> {
        let view = self.find_removed(which)?;
        if view.record.is_group() {
            for member in self.removed_members(view.record.id) {
                self.purge_one(&member.record).await?;
            }
        }
        self.purge_one(&view.record).await
    }

    async fn purge_one(&self, record: &Record) -> Result<(), EngineError> {
        let handle = self.by_id(record.id)?;
        let ask = |reply| Message::Purge { reply };
        Self::ask(&handle, "purge", &record.name, SHORT, ask).await
    }

    fn find_removed(&self, which: &str) -> Result<Arc<View>, EngineError> {
        let matches = |view: &Arc<View>| {
            let Record { id, name, phase, .. } = &view.record;
            matches!(phase, Phase::Removed { .. })
                && (name.as_str() == which || id.to_string() == which)
        };
        let mut found: Vec<_> = self.list().into_iter().filter(matches).collect();
        match (found.pop(), found.is_empty()) {
            (Some(view), true) => Ok(view),
            (None, _) => Err(EngineError::NoneRemoved(which.to_owned())),
            (Some(last), false) => {
                found.push(last);
                let ids: Vec<_> = found.iter().map(|view| view.record.id.to_string()).collect();
                Err(EngineError::Ambiguous { name: which.to_owned(), ids: ids.join(", ") })
            }
        }
    }
}
