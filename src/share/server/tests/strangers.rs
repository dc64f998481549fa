//! Servers that are not the volume's: on its port, and on the host.

use super::*;

/// Killed when it is dropped.
struct Other(Server);

impl Drop for Other {
    fn drop(&mut self) {
        kill(&self.0);
    }
}

#[tokio::test]
async fn an_answer_of_another_volume_s_server_is_not_taken_for_its_own() {
    let lab = Lab::new().await;
    let directory = lab.world.path("another server");
    let other = Other(Server { directory, ..lab.server.clone() });
    let recovery = lab.mounted.as_ref().unwrap().path().join(".another");
    let volume = uuid::Uuid::from_u128(1);
    other.0.ensure(&Export { volume, recovery, ..lab.export.clone() }, LIMIT).await.unwrap();

    let error = lab.server.ensure(&lab.export, LIMIT).await.unwrap_err();

    assert!(matches!(error, ServerError::Ended { .. }), "{error}");
    assert!(!lab.server.is_running().unwrap());
    assert!(other.0.answers().await, "the other one was ended");
}

#[tokio::test]
async fn the_host_s_rpcbind_does_not_hear_of_it() {
    let lab = Lab::new().await;
    let (server, export) = (lab.server.clone(), lab.export.clone());
    let heard = crate::sys::testing::with_own_run(move || {
        let rpcbind = std::os::unix::net::UnixListener::bind("/run/rpcbind.sock").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let heard = std::thread::spawn(move || {
            rpcbind.set_nonblocking(true).unwrap();
            let mut heard = 0;
            loop {
                // Looked at once more when all is over.
                let last = stopped.try_recv().is_ok();
                while rpcbind.accept().is_ok() {
                    heard += 1;
                }
                if last {
                    return heard;
                }
                std::thread::sleep(PAUSE);
            }
        });
        runtime.block_on(async {
            server.ensure(&export, LIMIT).await.unwrap();
            server.stop(LIMIT).await.unwrap();
        });
        stop.send(()).unwrap();
        heard.join().unwrap()
    });
    assert_eq!(heard, 0, "it asked the host's rpcbind");
    // Nor does any of it hold the volume afterwards.
    crate::sys::mount::unmount(lab.mounted.as_ref().unwrap().path()).await.unwrap();
}
