//! Calls of a volume plugin, as Docker 1.11 makes them, which dvdcli is made of: without mount ids.

use std::{collections::BTreeMap, io, time::Duration};

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::discovery::{self, Address};

/// How long is waited for a driver that is not there, or does not answer, between the attempts.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The driver says why.
    #[error("{0}")]
    Answered(String),
    /// Nobody knows what became of it.
    #[error("the driver does not answer: {0:#}")]
    NoAnswer(anyhow::Error),
}

/// A driver.
#[derive(Debug)]
pub(super) struct Plugin {
    address: Address,
}

/// A volume, as a driver shows it.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) name: String,
    /// Empty while it is not mounted.
    pub(super) mountpoint: String,
}

impl Plugin {
    /// Finds the driver, and makes sure that it is one of volumes.
    pub(super) async fn find(driver: &str) -> anyhow::Result<Self> {
        let mut pauses = PAUSES.iter();
        let address = loop {
            match (discovery::find(driver)?, pauses.next()) {
                (Some(address), _) => break address,
                // It may be starting.
                (None, Some(pause)) => tokio::time::sleep(*pause).await,
                (None, None) => anyhow::bail!(
                    "there is no such driver: neither /run/docker/plugins/{driver}.sock nor a file in \
                     /etc/docker/plugins or /usr/lib/docker/plugins that says where it is; is it running?"
                ),
            }
        };
        let plugin = Self { address };
        let answer = plugin.call("Plugin.Activate", None).await?;
        let implements = field(&answer, "Implements").and_then(Value::as_array);
        if !implements.is_some_and(|all| all.iter().any(|one| one == "VolumeDriver")) {
            anyhow::bail!("it is not a driver of volumes");
        }
        Ok(plugin)
    }

    pub(super) async fn create(
        &self,
        name: &str,
        options: &BTreeMap<&str, &str>,
    ) -> Result<(), CallError> {
        let body = json!({ "Name": name, "Opts": options });
        self.call("VolumeDriver.Create", Some(&body)).await.map(drop)
    }

    pub(super) async fn get(&self, name: &str) -> Result<Volume, CallError> {
        let answer = self.of_name("Get", name).await?;
        let volume = field(&answer, "Volume").filter(|volume| volume.is_object());
        volume.map(Volume::new).ok_or_else(|| CallError::Answered("no such volume".to_owned()))
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, CallError> {
        let answer = self.call("VolumeDriver.List", Some(&json!({}))).await?;
        let volumes = field(&answer, "Volumes").and_then(Value::as_array);
        Ok(volumes.into_iter().flatten().map(|volume| Volume::new(volume).name).collect())
    }

    /// A call that answers with a path.
    pub(super) async fn path(&self, call: &str, name: &str) -> Result<String, CallError> {
        self.of_name(call, name).await.map(|answer| text(&answer, "Mountpoint"))
    }

    /// A call about a volume.
    pub(super) async fn of_name(&self, call: &str, name: &str) -> Result<Value, CallError> {
        self.call(&format!("VolumeDriver.{call}"), Some(&json!({ "Name": name }))).await
    }

    /// One call, again where no answer came: every call may be repeated.
    async fn call(&self, call: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let mut pauses = PAUSES.iter();
        loop {
            match (self.exchange(call, body).await, pauses.next()) {
                (Ok((status, answer)), _) => return read(call, status, &answer),
                (Err(_), Some(pause)) => tokio::time::sleep(*pause).await,
                (Err(error), None) => return Err(CallError::NoAnswer(error)),
            }
        }
    }

    async fn exchange(
        &self,
        call: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        // A line, as Go's encoder ends it.
        let body = body.map(|body| format!("{body}\n")).unwrap_or_default();
        let request = Request::post(format!("/{call}"))
            .header(header::HOST, "plugin.moby.localhost")
            .header(header::ACCEPT, "application/vnd.docker.plugins.v1.2+json")
            .body(Full::new(Bytes::from(body)))?;
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                send(stream.with_context(|| format!("{}", path.display()))?, request).await
            }
            Address::Tcp(host) => {
                let stream = TcpStream::connect(host).await;
                send(stream.with_context(|| host.clone())?, request).await
            }
        }
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    let ended = async {
        connection.await?;
        // A request that is handed over just as the connection ends would be waited for.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(anyhow::Error::new(io::Error::from(io::ErrorKind::UnexpectedEof)))
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        error = ended => error,
    }
}

/// What an answer says, as moby reads it: any status but 200 is an error, and so is a text in `Err`.
fn read(call: &str, status: StatusCode, answer: &[u8]) -> Result<Value, CallError> {
    let value: Option<Value> = serde_json::from_slice(answer).ok();
    let error = value.as_ref().map(|value| text(value, "Err")).unwrap_or_default();
    match value {
        _ if status != StatusCode::OK => {
            let said = String::from_utf8_lossy(answer);
            let why = if error.is_empty() { said.trim() } else { &error };
            Err(CallError::Answered(format!("{call}: {why}")))
        }
        None => Err(CallError::Answered(format!("{call}: the answer is not JSON"))),
        Some(_) if !error.is_empty() => Err(CallError::Answered(error)),
        Some(value) => Ok(value),
    }
}

impl Volume {
    fn new(value: &Value) -> Self {
        Self { name: text(value, "Name"), mountpoint: text(value, "Mountpoint") }
    }
}

/// A field, whatever the case of its name: Go's decoder does not mind, and plugins rely on it.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| {
        object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

/// A text field, or an empty text.
fn text(value: &Value, name: &str) -> String {
    field(value, name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_moby_reads_them() {
        let read = |status, text: &str| {
            read("VolumeDriver.X", StatusCode::from_u16(status).unwrap(), text.as_bytes())
        };
        assert_eq!(read(200, "null").unwrap(), Value::Null);
        assert_eq!(
            text(&read(200, r#"{"mountpoint":"/m","err":""}"#).unwrap(), "Mountpoint"),
            "/m"
        );
        for (status, answer, why) in [
            (200, r#"{"Err":"why"}"#, "why"),
            (500, r#"{"Err":"why"}"#, "VolumeDriver.X: why"),
            (400, "why\n", "VolumeDriver.X: why"),
            (201, "{}", "VolumeDriver.X: {}"),
            (200, "", "VolumeDriver.X: the answer is not JSON"),
        ] {
            assert_eq!(read(status, answer).unwrap_err().to_string(), why, "{status} {answer}");
        }
    }
}
