//! This instance's slots and device names: what EC2 says is taken, and what is on its way there.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    api::{Api, ApiError, InstanceView},
    asked::Asked,
    names::{self, Name},
};

/// How long a look at the instance is taken for the present, when it says that all is taken.
const LOOK_LASTS: Duration = Duration::from_secs(2);

/// This instance's slots.
#[derive(Debug)]
pub(super) struct Slots {
    /// The first look: parallel attachments share it.
    first: Asked<InstanceView, ApiError>,
    /// Held for moments only, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Volumes by EC2's account, and those that were attached since.
    attached: HashMap<String, Name>,
    in_flight: HashSet<Name>,
    failed: HashMap<Name, Instant>,
    /// Volumes that AttachVolume was called for, unless it was refused: EC2 may not show that yet.
    called: HashMap<String, Instant>,
    looked: Option<Instant>,
}

impl State {
    /// Each is a slot that is taken.
    fn names(&self) -> HashSet<Name> {
        self.attached.values().chain(&self.in_flight).cloned().collect()
    }
}

/// What there is no more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Volumes that the instance takes.
    Slots,
    /// Names to attach them as.
    Names,
}

/// A name that nobody else gets, for as long as this lives.
#[derive(Debug)]
pub(super) struct Reservation {
    slots: Arc<Slots>,
    pub(super) name: Name,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.slots.state().in_flight.remove(&self.name);
    }
}

impl Reservation {
    /// EC2 took the name for that volume.
    pub(super) fn taken_by(&self, volume: &str) {
        self.slots.state().attached.insert(volume.to_owned(), self.name.clone());
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self { first: Asked::new(), state: Mutex::default() }
    }
}

impl Slots {
    /// This instance as it was seen first.
    pub(super) async fn first_look(
        &self,
        api: &Api,
        instance: &str,
    ) -> Result<&InstanceView, ApiError> {
        let look = || async {
            let seen = api.describe_instance(instance).await?;
            self.set(&seen);
            Ok(seen)
        };
        self.first.get(look).await
    }

    /// Looks again, unless that was done just now.
    pub(super) async fn look_again(&self, api: &Api, instance: &str) -> Result<(), ApiError> {
        let recent = |looked: Instant| looked.elapsed() < LOOK_LASTS;
        if self.state().looked.is_some_and(recent) {
            return Ok(());
        }
        let seen = api.describe_instance(instance).await?;
        self.set(&seen);
        Ok(())
    }

    /// A slot and a name.
    pub(super) fn reserve(self: &Arc<Self>, limit: Option<u32>) -> Result<Reservation, Full> {
        let mut state = self.state();
        let taken = state.names();
        let full = |limit: u32| taken.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        if limit.is_some_and(full) {
            return Err(Full::Slots);
        }
        let name = names::choose(&taken, &state.failed).ok_or(Full::Names)?;
        state.in_flight.insert(name.clone());
        drop(state);
        Ok(Reservation { slots: Arc::clone(self), name })
    }

    /// It did not work with this name: it is tried last from now on.
    pub(super) fn failed(&self, name: &Name) {
        self.state().failed.insert(name.clone(), Instant::now());
    }

    /// AttachVolume is about to be called.
    pub(super) fn calling(&self, volume: &str) {
        self.state().called.insert(volume.to_owned(), Instant::now());
    }

    /// EC2 refused to attach it.
    pub(super) fn refused(&self, volume: &str) {
        self.state().called.remove(volume);
    }

    /// Whether EC2 was asked to attach it so recently that it may not show it yet.
    pub(super) fn called_within(&self, volume: &str, time: Duration) -> bool {
        self.state().called.get(volume).is_some_and(|at| at.elapsed() < time)
    }

    /// A volume is attached no more.
    pub(super) fn free(&self, volume: &str) {
        let mut state = self.state();
        state.attached.remove(volume);
        state.called.remove(volume);
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        let state = self.state();
        state.attached.len() + state.in_flight.len()
    }

    /// How many are not taken, where there are so many in all.
    pub(super) fn free_of(&self, limit: u32) -> u32 {
        let taken = self.state().names().len();
        limit.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    fn set(&self, seen: &InstanceView) {
        let mut state = self.state();
        state.attached = seen
            .devices
            .iter()
            .map(|(device, volume)| {
                // Something without a volume takes a slot, too.
                let key = if volume.is_empty() { device } else { volume };
                (key.clone(), Name::of(device))
            })
            .collect();
        state.looked = Some(Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(devices: &[(&str, &str)]) -> InstanceView {
        let pair = |(device, volume): &(&str, &str)| ((*device).into(), (*volume).into());
        InstanceView {
            instance_type: "m5.large".into(),
            devices: devices.iter().map(pair).collect(),
            network_interfaces: 1,
        }
    }

    #[test]
    fn a_name_in_flight_or_taken_in_either_spelling_is_not_given_again() {
        let slots = Arc::new(Slots::default());
        slots.set(&seen(&[("/dev/sda1", "vol-0"), ("/dev/sdaa", "vol-1")]));
        let first = slots.reserve(None).unwrap();
        let second = slots.reserve(None).unwrap();
        assert_eq!(
            (first.name.device(), second.name.device()),
            ("/dev/xvdab".into(), "/dev/xvdac".into())
        );

        first.taken_by("vol-2");
        drop(first);
        drop(second);
        assert_eq!(slots.reserve(None).unwrap().name.device(), "/dev/xvdac");
        slots.free("vol-2");
        assert_eq!(slots.reserve(None).unwrap().name.device(), "/dev/xvdab");
    }

    #[test]
    fn the_root_volume_and_what_is_in_flight_count_for_the_limit() {
        let slots = Arc::new(Slots::default());
        slots.set(&seen(&[("/dev/xvda", "vol-0")]));
        assert_eq!(slots.free_of(2), 1);
        let first = slots.reserve(Some(2)).unwrap();
        assert_eq!(slots.free_of(2), 0);
        assert_eq!(slots.reserve(Some(2)).unwrap_err(), Full::Slots);
        first.taken_by("vol-1");
        assert_eq!((slots.free_of(2), slots.free_of(1)), (0, 0), "it is one slot");
        slots.free("vol-1");
        drop(first);
        slots.reserve(Some(2)).unwrap();
    }

    #[test]
    fn names_that_ran_out_are_not_slots_that_ran_out() {
        let slots = Arc::new(Slots::default());
        let all: Vec<_> = (0..127).map(|_| slots.reserve(Some(200)).unwrap()).collect();
        assert_eq!(slots.reserve(Some(200)).unwrap_err(), Full::Names);
        drop(all);
    }

    /// k8s #31891: a name that was used a moment ago leaves a volume `attaching` for ever.
    #[test]
    fn a_name_that_failed_is_not_the_next_one() {
        let slots = Arc::new(Slots::default());
        let first = slots.reserve(None).unwrap();
        let name = first.name.clone();
        slots.failed(&name);
        drop(first);
        assert_ne!(slots.reserve(None).unwrap().name, name);
    }
}
