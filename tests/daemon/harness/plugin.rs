//! The plugin protocol's calls, as a test writes them.

use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Connection, PATIENCE, Reply, World, until};

impl World {
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.path("hawser.sock")).unwrap()
    }

    /// One call on a connection of its own; an error when the daemon dies meanwhile.
    pub(crate) fn try_call(&self, call: &str, body: &Value) -> io::Result<Reply> {
        Connection::open(&self.path("hawser.sock"))?.post(call, &body.to_string())
    }

    /// One call of the volume driver.
    #[track_caller]
    pub(crate) fn call(&self, call: &str, body: &Value) -> Reply {
        self.try_call(&format!("VolumeDriver.{call}"), body).unwrap()
    }

    #[track_caller]
    pub(crate) fn create(&self, name: &str) {
        self.call("Create", &json!({ "Name": name, "Opts": null })).ok();
    }

    #[track_caller]
    pub(crate) fn mount(&self, name: &str, id: &str) -> PathBuf {
        let answer = self.call("Mount", &json!({ "Name": name, "ID": id })).ok();
        PathBuf::from(answer["Mountpoint"].as_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn mount_fails(&self, name: &str, id: &str) -> String {
        self.call("Mount", &json!({ "Name": name, "ID": id })).err()
    }

    #[track_caller]
    pub(crate) fn unmount(&self, name: &str, id: &str) {
        self.call("Unmount", &json!({ "Name": name, "ID": id })).ok();
    }

    #[track_caller]
    pub(crate) fn remove(&self, name: &str) {
        self.call("Remove", &json!({ "Name": name })).ok();
    }

    #[track_caller]
    pub(crate) fn remove_fails(&self, name: &str) -> String {
        self.call("Remove", &json!({ "Name": name })).err()
    }

    /// `Get`'s `Volume`.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Value {
        self.call("Get", &json!({ "Name": name })).ok()["Volume"].take()
    }

    /// `hawser volume inspect --json`.
    #[track_caller]
    pub(crate) fn inspect(&self, name: &str) -> Value {
        serde_json::from_str(&self.hawser(["volume", "inspect", "--json", name])).unwrap()
    }

    /// The holders' ids and counts, sorted.
    #[track_caller]
    pub(crate) fn holders(&self, name: &str) -> Vec<(String, u64)> {
        let info = self.inspect(name);
        let holders = info["holders"].as_array().unwrap().iter();
        let mut holders: Vec<_> = holders
            .map(|h| (h["id"].as_str().unwrap().to_owned(), h["count"].as_u64().unwrap()))
            .collect();
        holders.sort();
        holders
    }

    /// Mounts with a file written, and unmounts: a volume with data on it.
    #[track_caller]
    pub(crate) fn with_data(&self, name: &str, text: &str) {
        let path = self.mount(name, "writer");
        fs::write(path.join("file"), text).unwrap();
        self.unmount(name, "writer");
    }

    /// What [`World::with_data`] wrote.
    #[track_caller]
    pub(crate) fn data_of(&self, name: &str) -> String {
        let path = self.mount(name, "reader");
        let text = fs::read_to_string(path.join("file")).unwrap();
        self.unmount(name, "reader");
        text
    }

    /// Waits until nothing of the volume is in the kernel.
    #[track_caller]
    pub(crate) fn until_released(&self, name: &str) {
        until("the volume is released", || {
            let info = self.inspect(name);
            info["device"].is_null() && info["doing"].is_null()
        });
    }

    /// Waits until the volume is not mounted; it may stay attached.
    #[track_caller]
    #[allow(dead_code, reason = "by the EBS suites, which share this harness")]
    pub(crate) fn until_unmounted(&self, name: &str) {
        let stage = self.path("mnt/stage").join(self.inspect(name)["id"].as_str().unwrap());
        let released = || {
            let info = self.inspect(name);
            !super::is_mount_point(&stage) && info["path"].is_null() && info["doing"].is_null()
        };
        until("the volume is unmounted", released);
    }

    /// Waits until nothing is left of any volume, restarts, and finds that it is still so.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.assert_clean();
        self.restart();
        self.assert_clean();
        self.stop();
        assert!(!self.path("hawser.sock").exists(), "the socket is removed at exit");
        assert!(!self.path("admin.sock").exists(), "the socket is removed at exit");
    }

    #[track_caller]
    fn assert_clean(&self) {
        let listed = self.call("List", &json!({})).ok();
        assert_eq!(listed["Volumes"], json!([]), "volumes are left");
        let deadline = Instant::now() + PATIENCE;
        while !self.leftovers().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = self.leftovers();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }
}
