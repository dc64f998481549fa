//! Volumes that are attached by somebody else, as the lab does.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use ec2_fake::{Attach, InstanceState, Machines, Plug, Transition, Unplugged};

use crate::client::World;

/// Notes what it is asked for, and lets go when it is told to.
#[derive(Debug, Default)]
struct Notes {
    said: Mutex<Vec<String>>,
    lets_go: AtomicBool,
}

impl Notes {
    fn note(&self, what: &str, instance: &str, volume: &str) {
        let mut said = self.said.lock().unwrap();
        let line = format!("{what} {instance} {volume}");
        // What is asked again and again is noted once.
        if said.last() != Some(&line) {
            said.push(line);
        }
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().unwrap())
    }
}

impl Machines for Notes {
    fn plug(&self, plug: &Plug<'_>) -> io::Result<()> {
        assert_eq!(plug.image.metadata()?.len(), 1 << 30);
        self.note(&format!("plug {}", plug.serial), plug.instance, plug.volume);
        Ok(())
    }

    fn unplug(&self, instance: &str, volume: &str) -> io::Result<Unplugged> {
        self.note("unplug", instance, volume);
        Ok(if self.lets_go.load(Ordering::SeqCst) { Unplugged::Gone } else { Unplugged::Held })
    }

    fn take_away(&self, instance: &str, volume: &str) -> io::Result<()> {
        self.note("take_away", instance, volume);
        Ok(())
    }

    fn grown(&self, instance: &str, volume: &str) -> io::Result<()> {
        self.note("grown", instance, volume);
        Ok(())
    }
}

fn world() -> (World, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let machines: Arc<dyn Machines> = Arc::<Notes>::clone(&notes);
    (World::with(|config| config.attach = Attach::Machines(machines)), notes)
}

#[test]
fn a_machine_is_asked_to_let_go_and_the_volume_is_available_when_it_has() {
    let (world, notes) = world();
    let (id, at) = (world.volume(), world.instance.clone());
    world.attach(&id, "xvdba");
    assert_eq!(notes.said(), [format!("plug {} {at} {id}", id.replace('-', ""))]);
    assert_eq!(world.fake.attach_path(&id), None);
    world.detach(&id);
    assert_eq!(notes.said(), [format!("unplug {at} {id}")]);
    assert_eq!(world.fake.volume(&id).unwrap().attachment.unwrap().state, "detaching");
    notes.lets_go.store(true, Ordering::SeqCst);
    world.wait_for(&id, "available");
}

#[test]
fn force_takes_the_volume_away_and_a_stuck_detachment_asks_nobody() {
    let (world, notes) = world();
    let (id, at) = (world.volume(), world.instance.clone());
    world.attach(&id, "xvdba");
    notes.said();
    world.fake.stick(&id, Transition::Detach);
    world.detach(&id);
    assert_eq!(notes.said(), [""; 0]);
    world.ask("DetachVolume", &format!("VolumeId={id}&Force=true"));
    world.wait_for(&id, "available");
    assert_eq!(notes.said(), [format!("take_away {at} {id}")]);
}

#[test]
fn a_terminated_machine_loses_its_volumes_and_a_stopped_one_keeps_them() {
    let (world, notes) = world();
    let (id, at) = (world.volume(), world.instance.clone());
    world.attach(&id, "xvdba");
    notes.said();
    world.fake.instance_state(&at, InstanceState::Stopped);
    assert_eq!(world.state(&id), "in-use");
    assert_eq!(notes.said(), [""; 0]);
    world.fake.instance_state(&at, InstanceState::Terminated);
    world.wait_for(&id, "available");
    assert_eq!(notes.said(), [format!("take_away {at} {id}")]);
}

#[test]
fn a_wrong_serial_number_is_shown_by_machines_too() {
    let (world, notes) = world();
    let id = world.volume();
    world.fake.wrong_serial(&id);
    world.attach(&id, "xvdba");
    let said = notes.said();
    assert!(
        said[0].starts_with("plug vol0") && !said[0].contains(&id.replace('-', "")),
        "{said:?}"
    );
}
