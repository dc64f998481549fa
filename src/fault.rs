//! Named points at which the crash suite kills the process. Nothing at all in a build without the
//! feature `fault-points`, which releases never have.
//!
//! `HAWSER_FAULT_TRACE=FILE` appends every point that is passed, so that the suite learns which
//! there are; `HAWSER_FAULT=N` kills the process (as `kill -9` does) at the N-th one, from 1, and
//! `HAWSER_FAULT=NAME:N` at the N-th one of that name.

/// Passes a point.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn point(_name: &str) {}

#[cfg(feature = "fault-points")]
pub use armed::point;

#[cfg(feature = "fault-points")]
mod armed {
    use std::{
        env,
        fs::OpenOptions,
        io::Write,
        sync::{
            LazyLock,
            atomic::{AtomicUsize, Ordering},
        },
    };

    static PASSED: AtomicUsize = AtomicUsize::new(0);
    static KILL_AT: LazyLock<Option<(Option<String>, usize)>> = LazyLock::new(|| {
        let fault = env::var("HAWSER_FAULT").ok()?;
        match fault.split_once(':') {
            Some((name, count)) => Some((Some(name.to_owned()), count.parse().ok()?)),
            None => Some((None, fault.parse().ok()?)),
        }
    });
    static TRACE: LazyLock<Option<String>> = LazyLock::new(|| env::var("HAWSER_FAULT_TRACE").ok());

    /// Passes a point.
    pub fn point(name: &str) {
        if let Some(path) = &*TRACE {
            let line = format!("{name}\n");
            let file = OpenOptions::new().create(true).append(true).open(path);
            // A trace that cannot be written makes the suite fail for want of points.
            let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
        }
        let Some((wanted, at)) = &*KILL_AT else { return };
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            return;
        }
        if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *at {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            loop {
                std::thread::park();
            }
        }
    }
}
