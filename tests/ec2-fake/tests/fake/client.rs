//! A client by hand: a form out, text back; and a fake in a directory of its own.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use ec2_fake::{Fake, FakeConfig};

pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) instance: String,
    // After the fake: the directory goes when the fake has let go of it.
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut FakeConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = FakeConfig::new(dir.path());
        change(&mut config);
        let instance = config.instance.id.clone();
        Self { fake: Fake::start(config), instance, _dir: dir }
    }

    /// A request with these parameters; the answer's text if it succeeded, else its error's code.
    pub(crate) fn try_ask(&self, action: &str, form: &str) -> Result<String, String> {
        let body = format!("Action={action}&Version=2016-11-15&{form}");
        let (status, text) = http(self.fake.address(), "POST", "/", &[], &body).ok_or("hung up")?;
        if status == 200 { Ok(text) } else { Err(element(&text, "Code")) }
    }

    #[track_caller]
    pub(crate) fn ask(&self, action: &str, form: &str) -> String {
        self.try_ask(action, form).unwrap_or_else(|code| panic!("{action} {form}: {code}"))
    }

    #[track_caller]
    pub(crate) fn refused(&self, action: &str, form: &str) -> String {
        self.try_ask(action, form).expect_err("it should have been refused")
    }

    #[track_caller]
    pub(crate) fn message(&self, action: &str, form: &str) -> String {
        let body = format!("Action={action}&{form}");
        let (status, text) = http(self.fake.address(), "POST", "/", &[], &body).unwrap();
        assert_ne!(status, 200, "{text}");
        element(&text, "Message")
    }

    /// A new gp3 volume of 1 GiB.
    #[track_caller]
    pub(crate) fn volume(&self) -> String {
        let form = "AvailabilityZone=us-east-1a&Size=1&VolumeType=gp3";
        element(&self.ask("CreateVolume", form), "volumeId")
    }

    pub(crate) fn attach_form(&self, volume: &str, device: &str) -> String {
        format!("VolumeId={volume}&InstanceId={}&Device=/dev/{device}", self.instance)
    }

    #[track_caller]
    pub(crate) fn attach(&self, volume: &str, device: &str) {
        self.ask("AttachVolume", &self.attach_form(volume, device));
    }

    #[track_caller]
    pub(crate) fn detach(&self, volume: &str) {
        self.ask("DetachVolume", &format!("VolumeId={volume}"));
    }

    pub(crate) fn state(&self, volume: &str) -> String {
        self.fake.volume(volume).map_or_else(|| "gone".to_owned(), |volume| volume.state)
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, volume: &str, state: &str) {
        eventually(|| self.state(volume) == state);
    }
}

#[track_caller]
pub(crate) fn eventually(mut met: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !met() {
        assert!(Instant::now() < limit, "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The text of the first element of this name.
pub(crate) fn element(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = xml.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    inside.unwrap_or_else(|| panic!("no {name} in {xml}")).0.to_owned()
}

/// Status and body; `None` if the connection was closed without an answer.
pub(crate) fn http(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(to).unwrap();
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
