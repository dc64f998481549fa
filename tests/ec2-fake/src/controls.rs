//! What a test can do to the fake: faults, delays, instances, volumes of others, the time.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use crate::{
    config::{Delays, InstanceSpec},
    faults::{BurnedTokens, InstanceState, KmsFailure, Throttle, Transition},
    server,
    shared::{Shared, lock},
    state::{AttachPhase, Instance, Performance, Tags, Volume, VolumePhase, new_id},
};

/// The controls of a running fake.
#[derive(Debug, Clone)]
pub struct Controls {
    pub(crate) shared: Arc<Shared>,
}

impl Controls {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// How long transitions take from now on.
    pub fn set_delays(&self, delays: Delays) {
        self.shared.change(|world| world.delays = delays);
    }

    /// Holds a volume's transition back until [`Self::unstick`].
    pub fn stick(&self, volume: &str, transition: Transition) {
        self.shared.change(|world| world.sabotage.stuck.insert((volume.to_owned(), transition)));
    }

    /// Lets a volume's transitions go on.
    pub fn unstick(&self, volume: &str) {
        self.shared.change(|world| world.sabotage.stuck.retain(|(stuck, _)| stuck != volume));
    }

    /// Answers some of an action's requests (`*`: of all actions') with RequestLimitExceeded.
    pub fn throttle(&self, action: &str, throttle: Throttle) {
        self.shared.faults().throttle(action, throttle);
    }

    /// Answers the next `n` requests of an action with this error; nothing is done.
    pub fn fail_next(&self, action: &str, code: &str, message: &str, n: u32) {
        self.shared.faults().fail_next(action, code, message, n);
    }

    /// Carries the next `n` requests of an action out and closes the connection.
    pub fn lose_response(&self, action: &str, n: u32) {
        self.shared.faults().lose(action, n);
    }

    /// Whether every connection is closed as soon as a request has come.
    pub fn away(&self, away: bool) {
        self.shared.faults().away = away;
    }

    /// Takes back what spoils the wire: throttles, failures, losses, absence.
    pub fn clear_wire_faults(&self) {
        self.shared.faults().clear();
    }

    /// For so long describing does not find a new volume, and shows attachments as they were.
    pub fn hide_new_volumes(&self, hide: Duration) {
        self.shared.change(|world| world.hide = hide);
    }

    /// When this volume is attached its device says that it is another one, and its by-id link leads
    /// to another device, if there is one.
    pub fn wrong_serial(&self, volume: &str) {
        self.shared.change(|world| world.sabotage.wrong_serials.insert(volume.to_owned()));
    }

    /// What becomes of new volumes that are encrypted with this key.
    pub fn kms_fails(&self, key: &str, failure: KmsFailure) {
        self.shared.change(|world| world.sabotage.kms.insert(key.to_owned(), failure));
    }

    /// What a deleted volume's token is answered with.
    pub fn burned_tokens(&self, burned: BurnedTokens) {
        self.shared.change(|world| world.burned = burned);
    }

    /// Makes every token of the metadata service invalid.
    pub fn expire_tokens(&self) {
        self.shared.tokens().expire();
    }

    /// Moves the fake's time on: cool-downs, delays, tokens.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(by);
    }

    /// What an instance does from now on. One that is terminated loses its volumes; one that does
    /// not run holds no device.
    ///
    /// # Panics
    /// When there is no such instance.
    pub fn instance_state(&self, instance: &str, state: InstanceState) {
        let now = self.shared.now();
        let known = self.shared.change(|world| {
            let known = world.instances.get_mut(instance).map(|found| found.state = state);
            let volumes =
                world.volumes.values_mut().filter_map(|volume| volume.attachment.as_mut());
            for attachment in volumes.filter(|attachment| attachment.instance == instance) {
                if state == InstanceState::Terminated {
                    attachment.phase = AttachPhase::Detaching { due: now, force: true };
                }
            }
            known
        });
        assert!(known.is_some(), "no instance {instance}");
    }

    /// Adds an instance, which gets a port of its own: see [`Self::imds_endpoint`].
    ///
    /// # Errors
    /// When it cannot listen, or not make the instance's directory.
    pub fn add_instance(&self, spec: InstanceSpec) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let id = spec.id.clone();
        self.insert_instance(spec, listener.local_addr()?)?;
        server::serve(&self.shared, listener, id)
    }

    pub(crate) fn insert_instance(&self, spec: InstanceSpec, port: SocketAddr) -> io::Result<()> {
        self.shared.devices.add_instance(&spec.id)?;
        lock(&self.shared.ports).insert(spec.id.clone(), port);
        let instance = Instance::new(spec, self.shared.now());
        self.shared.change(|world| world.instances.insert(instance.spec.id.clone(), instance));
        Ok(())
    }

    /// Adds a volume that somebody else made, `available`, in the first instance's zone, with this
    /// at its begin. Gives its id.
    ///
    /// # Errors
    /// When its image cannot be written.
    pub fn add_volume(
        &self,
        tags: &[(&str, &str)],
        gib: u32,
        content: &[u8],
    ) -> io::Result<String> {
        let now = self.shared.now();
        let volume = Volume {
            id: new_id("vol"),
            gib,
            performance: Performance {
                volume_type: "gp3".to_owned(),
                iops: Some(3000),
                throughput: Some(125),
            },
            encrypted: false,
            kms_key: None,
            zone: self.first_instance().zone,
            snapshot: None,
            tags: owned(tags),
            created: now,
            phase: VolumePhase::Ready,
            attachment: None,
            modification: None,
            working: false,
            visible_from: now,
            shown: None,
        };
        let id = volume.id.clone();
        self.shared.devices.add_image(&id, gib, content)?;
        self.shared.change(|world| world.volumes.insert(id.clone(), volume));
        Ok(id)
    }

    /// The instance that the fake was started with.
    pub fn first_instance(&self) -> InstanceSpec {
        self.shared.config.instance.clone()
    }
}

fn owned(tags: &[(&str, &str)]) -> Tags {
    tags.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect::<BTreeMap<_, _>>()
}
