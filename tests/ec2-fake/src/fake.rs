//! A fake's life: a thread with a runtime of its own, so that tests of any kind can use it, and
//! nothing left behind at its end.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    ops::Deref,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use tokio::{runtime::Builder, sync::oneshot};

use crate::{
    config::FakeConfig, controls::Controls, devices::Devices, imds, server, shared::Shared,
};

/// How long losetup and cp have at the end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A running EC2. Dropped, it ends, and gives its devices back.
#[derive(Debug)]
pub struct Fake {
    controls: Controls,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot listen, or not make its directory: no test can go on from there.
    #[expect(clippy::expect_used, reason = "for tests, which end there")]
    pub fn start(config: FakeConfig) -> Self {
        Self::try_start(config).expect("start the EC2 fake")
    }

    /// Starts one.
    ///
    /// # Errors
    /// When it cannot listen, or not make its directory.
    pub fn try_start(config: FakeConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("ec2-fake")
            .enable_all()
            .build()?;
        let devices = Devices::new(&config.dir, config.attach.clone())?;
        let instance = config.instance.clone();
        let shared = Arc::new(Shared::new(config, devices, runtime.handle().clone()));
        let controls = Controls::new(Arc::clone(&shared));
        controls.insert_instance(instance.clone(), address)?;
        server::serve(&shared, listener, instance.id)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.spawn(Arc::clone(&shared).tick());
            // Ends when the sender is used or dropped.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(END_LIMIT);
            shared.devices.free_all();
        });
        Ok(Self { controls, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…`, for EC2 and for the first instance's metadata.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The controls, for other threads.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// What a client of the AWS SDKs needs in its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let zone = self.controls.first_instance().zone;
        vec![
            ("AWS_ENDPOINT_URL_EC2", self.endpoint()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.endpoint()),
            ("AWS_REGION", imds::region(&zone).to_owned()),
            ("AWS_ACCESS_KEY_ID", "fake".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "fake".to_owned()),
        ]
    }
}

impl Deref for Fake {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
