//! A Docker engine on a machine, with hawser as its volume plugin.

use std::time::Duration;

use super::Machine;

/// Docker's programs are large, and the processor is emulated.
pub(crate) const SLOW: Duration = Duration::from_secs(180);

impl Machine {
    /// Starts the engine; it keeps everything where hawser does, and has an image `busybox`.
    #[track_caller]
    pub(crate) fn start_docker(&self) {
        self.sh_within(SLOW, "/lab/start-docker.sh").ok();
    }

    /// `docker …`, which has to succeed: what it printed.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let argv = [&["/usr/bin/docker"], arguments].concat();
        self.wait(&self.spawn(&argv), SLOW).ok()
    }
}
