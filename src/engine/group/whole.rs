//! What concerns a group as a whole: its removal and return, its size, and what is known of it.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{
    engine::{
        Engine, EngineError, Removal, SHORT, View,
        message::{Grown, Message},
        registry::Handle,
    },
    spec::{Bytes, Stated, Sticky},
    volume::{
        MountId, NodeName, Record, VolumeId,
        group::{Asker, Use},
        lease::Session,
        transition::{Changes, Refusal},
    },
};

impl Engine {
    /// A group's members as they were last known, by number.
    #[must_use]
    pub fn members_of(&self, group: &View) -> Vec<Arc<View>> {
        self.members(&group.record).iter().map(Handle::view).collect()
    }

    /// A group as callers see it: its path is its member's, where one alone is mounted here.
    pub(in crate::engine) fn seen_as_group(&self, view: Arc<View>) -> Arc<View> {
        let members = self.members_of(&view);
        let mut paths = members.iter().filter_map(|member| member.path.clone());
        match (paths.next(), paths.next()) {
            (Some(path), None) => Arc::new(View { path: Some(path), ..(*view).clone() }),
            (None, _) | (Some(_), Some(_)) => view,
        }
    }

    /// Removes a group and its members: all, or none where one is in use. A crash in between leaves
    /// the group with fewer members, and the call can be repeated.
    pub(in crate::engine) async fn remove_group(
        &self,
        group: &Handle,
        when: Removal,
    ) -> Result<(), EngineError> {
        let record = group.view().record.clone();
        let members = self.members(&record);
        self.refuse_in_use(&record, &members)?;
        self.remove_all(members, when).await?;
        self.remove_one(group, &record.name, when).await?;
        // A task on another node may have got a new one meanwhile: in use, it is left to it.
        if let Err(error) = self.remove_all(self.members(&record), when).await {
            tracing::warn!(volume = %record.name, %error, "a member outlives its group");
        }
        Ok(())
    }

    async fn remove_all(&self, members: Vec<Handle>, when: Removal) -> Result<(), EngineError> {
        let mut removals = JoinSet::new();
        for member in members {
            let (engine, name) = (self.clone(), member.view().record.name.clone());
            removals.spawn(async move { engine.remove_one(&member, &name, when).await });
        }
        removals.join_all().await.into_iter().collect()
    }

    /// What a removal would find out too late: after other members were removed.
    fn refuse_in_use(&self, group: &Record, members: &[Handle]) -> Result<(), EngineError> {
        let refused =
            |refusal| EngineError::Refused { op: "remove", volume: group.name.clone(), refusal };
        if group.spec.sticky == Sticky::Yes {
            return Err(refused(Refusal::Sticky));
        }
        let users: Vec<_> =
            members.iter().filter_map(|member| self.user_of(group, member)).collect();
        if !users.is_empty() {
            return Err(refused(Refusal::Members(users.join("; "))));
        }
        let away = |member: &&Handle| {
            self.only_on(member)
                .is_some_and(|node| self.shared.store.session(&node) == Session::Over)
        };
        let away: Vec<_> = members
            .iter()
            .filter(away)
            .map(|member| member.view().record.name.to_string())
            .collect();
        if away.is_empty() {
            return Ok(());
        }
        Err(refused(Refusal::Members(format!(
            "{}: on a disk of a node that is away",
            away.join(", ")
        ))))
    }

    /// Why a member cannot be removed.
    fn user_of(&self, group: &Record, member: &Handle) -> Option<String> {
        let record = &member.view().record;
        let membership = record.member_of(group)?;
        let (node, no_id) = (self.node_name(), MountId::from(String::new()));
        let lives = |node: &NodeName| self.shared.store.session(node) == Session::Lives;
        let asker = Asker { node: node.as_ref(), id: &no_id, lives: &lives };
        let user = match asker.usage(record, membership) {
            Use::Own | Use::Taken(_) if record.has_idle_claim(node.as_ref()) => None,
            Use::Own => Some(format!("mount {no_id}")),
            Use::Taken(who) => Some(who),
            Use::Free | Use::Lapsed => None,
        };
        let sticky = (record.spec.sticky == Sticky::Yes).then(|| "it is sticky".to_owned());
        Some(format!("{}: {}", record.name, user.or(sticky)?))
    }

    /// Brings back what can be brought back of a group's members: of each name the one that was
    /// removed last.
    pub(in crate::engine) async fn undelete_members(&self, group: VolumeId) {
        for view in self.removed_members(group) {
            let (id, name) = (view.record.id, &view.record.name);
            if self.shared.registry.by_name(name).is_some() {
                continue;
            }
            if let Err(error) = self.undelete_one(id, name.clone()).await {
                tracing::warn!(volume = %name, %id, %error, "a member of the group is not brought back");
            }
        }
    }

    /// What was removed of a group's members, the last first.
    pub(in crate::engine) fn removed_members(&self, group: VolumeId) -> Vec<Arc<View>> {
        let of_group = |view: &Arc<View>| {
            let member = view.record.member.as_ref();
            view.record.is_removed() && member.is_some_and(|member| member.group == group)
        };
        let mut removed: Vec<_> = self.list().into_iter().filter(of_group).collect();
        removed.sort_by_key(|view| std::cmp::Reverse(view.removed_at()));
        removed
    }

    /// Changes a group, and its members with it: those to come are made so.
    pub(in crate::engine) async fn set_group(
        &self,
        group: &Handle,
        changes: Changes,
    ) -> Result<(), EngineError> {
        let record = group.view().record.clone();
        self.set_one(group, changes.clone()).await?;
        let changes = Changes { scale: None, ..changes };
        if changes == Changes::default() {
            return Ok(());
        }
        for member in self.members(&record) {
            self.set_one(&member, changes.clone()).await?;
        }
        Ok(())
    }

    async fn set_one(&self, handle: &Handle, changes: Changes) -> Result<(), EngineError> {
        let ask = |reply| Message::Set { changes, reply };
        Self::ask(handle, "set", &handle.view().record.name, SHORT, ask).await
    }

    /// Grows a group's members, those to come included. One that cannot be grown keeps nothing from the others.
    ///
    /// # Errors
    ///
    /// The first member's that is as before.
    pub(in crate::engine) async fn grow_group(
        &self,
        group: &Handle,
        to: Option<Bytes>,
        settings: Stated,
    ) -> Result<Grown, EngineError> {
        let record = group.view().record.clone();
        self.grow_one(group, to, settings.clone()).await?;
        let mut grown = Ok(Grown::Now);
        for member in self.members(&record) {
            // It may have been grown alone, and be larger already.
            let to = to.map(|to| to.max(member.view().record.wanted_size()));
            match self.grow_one(&member, to, settings.clone()).await {
                Ok(Grown::Now) => {}
                Ok(Grown::AtNextMount) => grown = grown.map(|_| Grown::AtNextMount),
                Err(error) => grown = grown.and(Err(error)),
            }
        }
        grown
    }
}
