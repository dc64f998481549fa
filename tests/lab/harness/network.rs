//! What of the network is cut: a machine's way to one service on the host, or all between two machines.
//!
//! A machine's whole cable is [`Machine::link`]'s; its ways to the services are not in it.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr};

use super::{
    Lab, Machine,
    proxy::{Cut, Proxy, Service},
};

/// One machine's ways to the host's services.
pub(super) type Services = RefCell<BTreeMap<Service, Proxy>>;

impl Lab {
    /// Cuts a machine off from a service, without a word to either side.
    #[track_caller]
    pub(crate) fn cut(&self, machine: &Machine, service: Service) {
        machine.with(service, |proxy| proxy.cut(Cut::Silent));
    }

    /// Cuts a machine off from a service, and both sides see it.
    #[track_caller]
    pub(crate) fn hang_up(&self, machine: &Machine, service: Service) {
        machine.with(service, |proxy| proxy.cut(Cut::HangUp));
    }

    /// Lets a machine reach a service again.
    #[track_caller]
    pub(crate) fn heal(&self, machine: &Machine, service: Service) {
        machine.with(service, Proxy::heal);
    }

    /// Lets nothing pass between two machines.
    pub(crate) fn cut_between(&self, one: &Machine, other: &Machine) {
        self.switch.cut(one.number(), other.number());
    }

    /// Lets everything pass between them again.
    pub(crate) fn heal_between(&self, one: &Machine, other: &Machine) {
        self.switch.heal(one.number(), other.number());
    }
}

impl Machine {
    /// Gives it a way to a service that listens on the host.
    pub(super) fn offer(&self, service: Service, upstream: SocketAddr) {
        self.services.borrow_mut().insert(service, Proxy::start(upstream));
    }

    /// Where this machine finds a service: `10.78.0.2:4711`.
    #[track_caller]
    pub(crate) fn address_of(&self, service: Service) -> String {
        self.with(service, Proxy::address)
    }

    #[track_caller]
    fn with<T>(&self, service: Service, act: impl FnOnce(&Proxy) -> T) -> T {
        let services = self.services.borrow();
        let proxy = services.get(&service);
        act(proxy.unwrap_or_else(|| panic!("{} was not offered {service:?}", self.name)))
    }
}
