//! Files and devices: what becomes of an [`Effect`] outside of the state. Everything here blocks and
//! knows nothing of requests.
//!
//! ```text
//! DIR/vol-….img, DIR/snap-….img      sparse images
//! DIR/i-…/{dev,sys}/                 what the instance sees ([`play`]), without [`machines`]
//! ```
//! All loop devices are known here, so that none is left behind when the fake ends.

mod images;
mod loops;
mod machines;
mod play;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

pub use self::machines::{Machines, Plug, Unplugged};
use crate::{
    config::Attach,
    state::{BindOrder, Bound, Done, Effect, Shown},
};

/// The images and the devices made of them.
#[derive(Debug)]
pub(crate) struct Devices {
    dir: PathBuf,
    attach: Attach,
    live: Mutex<Vec<Shown>>,
}

impl Devices {
    pub(crate) fn new(dir: &Path, attach: Attach) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        // Absolute: it is shown to others.
        Ok(Self { dir: dir.canonicalize()?, attach, live: Mutex::new(Vec::new()) })
    }

    /// Where an instance's devices appear.
    pub(crate) fn play(&self, instance: &str) -> PathBuf {
        self.dir.join(instance)
    }

    pub(crate) fn add_instance(&self, instance: &str) -> io::Result<()> {
        play::make(&self.play(instance))
    }

    pub(crate) fn image(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.img"))
    }

    /// An image with this content, for a volume that is added from outside.
    pub(crate) fn add_image(&self, id: &str, gib: u32, content: &[u8]) -> io::Result<()> {
        images::make(&self.image(id), gib)?;
        images::fill(&self.image(id), content)
    }

    /// Does what is to be done.
    pub(crate) fn carry_out(&self, effect: &Effect) -> Done {
        let result = match effect {
            Effect::MakeImage { volume, from, gib } => {
                self.make_image(volume, from.as_deref(), *gib)
            }
            Effect::RemoveImage { volume: id } | Effect::RemoveSnapshot { snapshot: id } => {
                images::remove(&self.image(id)).map(|()| Done::Finished)
            }
            Effect::Bind(order) => self.bind(order).map(Done::Appeared),
            Effect::Unbind { bound: None, .. } => Ok(Done::Finished),
            Effect::Unbind { volume, bound: Some(Bound::Shown(shown)), force } => {
                self.unbind(volume, shown, *force)
            }
            Effect::Unbind { volume, bound: Some(Bound::Plugged { instance }), force } => {
                self.unplug(volume, instance, *force)
            }
            Effect::Grow { volume, bound, gib } => self.grow(volume, bound.as_ref(), *gib),
            Effect::CopyImage { snapshot, volume } => {
                images::copy(&self.image(volume), &self.image(snapshot)).map(|()| Done::Finished)
            }
        };
        result.unwrap_or_else(|error| Done::Failed(error.to_string()))
    }

    fn make_image(&self, volume: &str, from: Option<&str>, gib: u32) -> io::Result<Done> {
        let image = self.image(volume);
        if let Some(snapshot) = from {
            images::copy(&self.image(snapshot), &image)?;
        }
        images::make(&image, gib)?;
        Ok(Done::Finished)
    }

    fn bind(&self, order: &BindOrder) -> io::Result<Bound> {
        match &self.attach {
            Attach::Directories => self.show(order).map(Bound::Shown),
            Attach::Machines(machines) => {
                let BindOrder { instance, volume, .. } = order;
                let (serial, image) = (&order.serial(), &self.image(volume));
                machines.plug(&Plug { instance, volume, serial, image })?;
                Ok(Bound::Plugged { instance: instance.clone() })
            }
        }
    }

    fn machines(&self) -> io::Result<&dyn Machines> {
        match &self.attach {
            Attach::Machines(machines) => Ok(&**machines),
            Attach::Directories => Err(io::Error::other("there are no machines")),
        }
    }

    fn unplug(&self, volume: &str, instance: &str, force: bool) -> io::Result<Done> {
        let machines = self.machines()?;
        if force {
            machines.take_away(instance, volume)?;
            return Ok(Done::Finished);
        }
        Ok(match machines.unplug(instance, volume)? {
            Unplugged::Gone => Done::Finished,
            Unplugged::Held => Done::Held,
        })
    }

    fn show(&self, order: &BindOrder) -> io::Result<Shown> {
        let loop_device = loops::bind(&self.image(&order.volume))?;
        match play::appear(&self.play(&order.instance), order, &loop_device) {
            Ok(shown) => {
                self.live().push(shown.clone());
                Ok(shown)
            }
            Err(error) => {
                loops::free(&loop_device)?;
                Err(error)
            }
        }
    }

    /// As long as our own exclusive claim is held nobody can mount the device, so between the look
    /// and the end nothing comes in.
    fn unbind(&self, volume: &str, bound: &Shown, force: bool) -> io::Result<Done> {
        let claim = loops::claim(&bound.loop_device)?;
        if claim.is_none() && !force {
            return Ok(Done::Held);
        }
        if claim.is_none() {
            // Who holds it goes on writing to what is no longer the volume.
            images::part(&self.image(volume))?;
        }
        play::disappear(bound)?;
        loops::free(&bound.loop_device)?;
        let claimed = claim.is_some();
        drop(claim);
        if claimed {
            loops::wait_until_free(&bound.loop_device);
        }
        self.live().retain(|live| live != bound);
        Ok(Done::Finished)
    }

    fn grow(&self, volume: &str, bound: Option<&Bound>, gib: u32) -> io::Result<Done> {
        images::make(&self.image(volume), gib)?;
        match bound {
            Some(Bound::Shown(shown)) => {
                loops::grow(&shown.loop_device)?;
                play::resized(shown)?;
            }
            Some(Bound::Plugged { instance }) => self.machines()?.grown(instance, volume)?,
            None => {}
        }
        Ok(Done::Finished)
    }

    /// Gives back every device; one that somebody holds goes when it is let go.
    pub(crate) fn free_all(&self) {
        for bound in std::mem::take(&mut *self.live()) {
            let claim = loops::claim(&bound.loop_device).ok().flatten();
            let gone = play::disappear(&bound).and_then(|()| loops::free(&bound.loop_device));
            drop(claim);
            if let Err(error) = gone {
                tracing::warn!(device = %bound.loop_device.display(), %error, "a device is left");
            }
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Vec<Shown>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
