//! Places that somebody may take of what all share: so many in all, and so many for each.
//!
//! A handshake is open to everybody, so each address has its share of them, and one that opens
//! connections and says nothing takes no other's.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// Handshakes under way on a port, in all and for one address.
const HANDSHAKES: (usize, usize) = (512, 32);

/// The places that are taken, by who took them. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Places<K: Eq + Hash> {
    all: usize,
    each: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    places: Places<K>,
    holder: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// So many in all, and so many for each.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// Those of the handshakes on a port.
    pub(crate) fn for_handshakes() -> Self {
        Self::new(HANDSHAKES.0, HANDSHAKES.1)
    }

    /// A place, if there is one left for this holder.
    pub(crate) fn enter(&self, holder: K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&holder).copied().unwrap_or_default();
        if all >= self.all || own >= self.each {
            return None;
        }
        taken.insert(holder.clone(), own + 1);
        Some(Place { places: self.clone(), holder })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let handshakes = Places::for_handshakes();
        let (one, other) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv4Addr::from(1)));

        let places: Vec<_> = (0..HANDSHAKES.1).map(|_| handshakes.enter(one).unwrap()).collect();

        assert!(handshakes.enter(one).is_none());
        assert!(handshakes.enter(other).is_some());
        drop(places);
        assert!(handshakes.enter(one).is_some());
        assert!(handshakes.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn all_addresses_together_have_a_limit() {
        let handshakes = Places::for_handshakes();
        let callers = (0..2000).map(|n| IpAddr::V4(Ipv4Addr::from(n)));

        let places: Vec<_> = callers.filter_map(|caller| handshakes.enter(caller)).collect();

        assert_eq!(places.len(), HANDSHAKES.0);
    }
}
