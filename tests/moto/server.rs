//! A moto server of a test's own, and EC2's query protocol as far as the test itself asks.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::harness::until;

const VERSION: &str = "5.2.5";

/// moto; killed when dropped.
pub(crate) struct Moto {
    child: Child,
    address: SocketAddr,
}

/// A volume as moto shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) gib: u64,
    pub(crate) snapshot: Option<String>,
    /// The instance that has it.
    pub(crate) instance: Option<String>,
    /// Everything that moto says of it.
    pub(crate) xml: String,
}

impl Moto {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let program = program();
        assert!(
            program.exists(),
            "there is no {}: run scripts/install-deps.sh, which installs moto {VERSION}",
            program.display()
        );
        // Free a moment ago: moto cannot be told to choose.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = Self { child, address };
        until("moto answers", || {
            let ended = moto.child.try_wait().unwrap();
            assert!(ended.is_none(), "moto ended: {ended:?}");
            TcpStream::connect(address).is_ok()
        });
        moto
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A request of EC2's; its answer, which must be a success.
    #[track_caller]
    pub(crate) fn ask(&self, request: &str) -> String {
        let body = format!("Version=2016-11-15&{request}");
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // moto knows the service by the signature's scope, and does not verify it.
        let scope = "AKIATEST/20260101/us-east-1/ec2/aws4_request";
        write!(
            stream,
            "POST / HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x\r\n\
             \r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().contains(" 200 "), "{request}: {answer}");
        body.to_owned()
    }

    /// A new instance in us-east-1a. Its id.
    pub(crate) fn instance(&self) -> String {
        let answer = self.ask(
            "Action=RunInstances&ImageId=ami-12c6146b&MinCount=1&MaxCount=1\
             &InstanceType=m5.large&Placement.AvailabilityZone=us-east-1a",
        );
        element(&answer, "instanceId").unwrap()
    }

    /// All volumes but the instances' own.
    pub(crate) fn volumes(&self) -> Vec<Volume> {
        let answer = self.ask("Action=DescribeVolumes");
        let volumes = items(&answer, "volumeSet").into_iter().map(|xml| Volume {
            id: element(&xml, "volumeId").unwrap(),
            gib: element(&xml, "size").unwrap().parse().unwrap(),
            snapshot: element(&xml, "snapshotId").filter(|id| !id.is_empty()),
            instance: element(&xml, "instanceId"),
            xml,
        });
        volumes.filter(|volume| !volume.xml.contains("<device>/dev/sda1<")).collect()
    }

    /// The snapshots of this account's volumes: their ids and volumes. moto comes with others.
    pub(crate) fn snapshots(&self) -> Vec<(String, String)> {
        let answer = self.ask("Action=DescribeSnapshots&Owner.1=self");
        items(&answer, "snapshotSet")
            .into_iter()
            .map(|xml| (element(&xml, "snapshotId").unwrap(), element(&xml, "volumeId").unwrap()))
            .collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where scripts/install-deps.sh puts it.
fn program() -> PathBuf {
    let tools = std::env::var_os("HAWSER_TOOLS").map(PathBuf::from).unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").unwrap()).join(".cache/hawser/tools")
    });
    tools.join(format!("moto-{VERSION}/bin/moto_server"))
}

/// The items of a set, without those within them.
fn items(xml: &str, set: &str) -> Vec<String> {
    let Some((_, mut rest)) = xml.split_once(&format!("<{set}>")) else { return Vec::new() };
    let (mut items, mut depth, mut item) = (Vec::new(), 0, String::new());
    while let Some((text, after)) = rest.split_once("item>") {
        item += text;
        item += "item>";
        depth += if text.ends_with("</") { -1 } else { 1 };
        if depth == 0 {
            items.push(std::mem::take(&mut item));
        }
        rest = after;
    }
    items
}

/// The text of the first element of that name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once('<').map(|(text, _)| text.to_owned())
}
