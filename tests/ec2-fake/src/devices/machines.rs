//! Attaching by somebody else: virtual machines, which get a volume's image as a disk.

use std::{fmt, io, path::Path};

/// What plugs volumes into machines, in place of loop devices and play directories.
///
/// It is called from several threads at a time, but for one volume once at a time. What fails is
/// logged and tried again.
pub trait Machines: fmt::Debug + Send + Sync {
    /// Lets a volume appear at its instance; one that is not switched on finds it when it is.
    ///
    /// # Errors
    /// When it did not appear. Nothing is left of the attempt.
    fn plug(&self, plug: &Plug<'_>) -> io::Result<()>;

    /// Asks the instance to let go, and says whether it has; while it has not, this is called again.
    /// Once it has, no write of it reaches the image any more.
    ///
    /// # Errors
    /// When it could not be asked.
    fn unplug(&self, instance: &str, volume: &str) -> io::Result<Unplugged>;

    /// Takes the volume away, whatever the instance does. When this returns, no write of it reaches
    /// the image any more, also when it stands still and goes on later.
    ///
    /// # Errors
    /// When writes may still reach the image.
    fn take_away(&self, instance: &str, volume: &str) -> io::Result<()>;

    /// Shows the instance that the image has grown.
    ///
    /// # Errors
    /// When it does not see it.
    fn grown(&self, instance: &str, volume: &str) -> io::Result<()>;
}

/// A volume that is to appear.
#[derive(Debug, Clone, Copy)]
pub struct Plug<'a> {
    /// At which instance.
    pub instance: &'a str,
    /// `vol-…`.
    pub volume: &'a str,
    /// The serial number that the disk has to show: as on Nitro, the id without its dash.
    pub serial: &'a str,
    /// What the disk is made of.
    pub image: &'a Path,
}

/// Whether an instance has let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplugged {
    /// It has.
    Gone,
    /// Not yet.
    Held,
}
