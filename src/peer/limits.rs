//! How much strangers may take of the peer port. A handshake is open to everybody: each address has its
//! share of them, so that one that opens connections and says nothing takes no other's.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Handshakes under way, in all and for one address.
const ALL: usize = 512;
const EACH: usize = 32;

/// The handshakes under way, by address.
#[derive(Debug, Clone, Default)]
pub(super) struct Handshakes {
    under_way: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One handshake's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: Handshakes,
    caller: IpAddr,
}

impl Handshakes {
    /// A place, if the address has one left.
    pub(super) fn enter(&self, caller: IpAddr) -> Option<Place> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = under_way.values().sum();
        let own = under_way.get(&caller).copied().unwrap_or_default();
        if all >= ALL || own >= EACH {
            return None;
        }
        under_way.insert(caller, own + 1);
        Some(Place { all: self.clone(), caller })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.all.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = under_way.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let handshakes = Handshakes::default();
        let (one, other) = (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::from(1).into());

        let places: Vec<_> = (0..EACH).map(|_| handshakes.enter(one).unwrap()).collect();

        assert!(handshakes.enter(one).is_none());
        assert!(handshakes.enter(other).is_some());
        drop(places);
        assert!(handshakes.enter(one).is_some());
        assert!(handshakes.under_way.lock().unwrap().is_empty());
    }

    #[test]
    fn all_addresses_together_have_a_limit() {
        let handshakes = Handshakes::default();
        let callers = (0..2000).map(|n| IpAddr::V4(Ipv4Addr::from(n)));

        let places: Vec<_> = callers.filter_map(|caller| handshakes.enter(caller)).collect();

        assert_eq!(places.len(), ALL);
    }
}
