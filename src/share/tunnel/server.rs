//! The owner's side: other nodes' tunnels are let in, proven, and carried to a volume's server.
//!
//! Who calls is what its certificate says, as on the peer port. The caller hears "welcome" after the
//! volume's server has answered, so that a caller whose server is away can wait instead of failing.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream, rustls::ServerConfig};
use tokio_util::sync::CancellationToken;

use super::{
    carry::{self, Secured},
    exports::{Admitted, Exports},
    hello::{self, ALPN, Answer, Hello, Refusal},
    sockets::Sockets,
    who::Who,
};
use crate::peer::{
    identity::check::{self, Owner},
    limits::Places,
    refusals::Refusals,
    server::{say_goodbye, watch},
    trust::Untrusted,
};

/// How long a handshake and the hello after it may take, each.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a server on this host may take to accept.
const CONNECT: Duration = Duration::from_secs(3);

/// What all connections of other nodes share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) who: Arc<Who>,
    pub(super) sockets: Sockets,
    pub(super) exports: Exports,
    /// How many were refused before it was known which volume they want.
    pub(super) strangers: AtomicU64,
    refusals: Refusals<Refusal>,
    handshakes: Places<IpAddr>,
}

type Refused = (Refusal, String);

impl Server {
    pub(super) fn new(who: Arc<Who>, sockets: Sockets) -> Self {
        Self {
            who,
            sockets,
            exports: Exports::default(),
            strangers: AtomicU64::new(0),
            refusals: Refusals::on("the tunnel's port"),
            handshakes: Places::for_handshakes(),
        }
    }

    /// Takes connections until `stop`, which ends none of them.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, caller)) => {
                    tokio::spawn(Arc::clone(&self).connection(stream, caller.ip()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: others are served meanwhile.
                    tracing::error!(%error, "cannot accept a connection of another node's tunnel");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, caller: IpAddr) {
        let (mut secured, hello) = match self.greet(stream, caller).await {
            Ok(greeted) => greeted,
            Err(refused) => return self.stranger(caller, refused),
        };
        let admitted = match self.prove(&secured, &hello) {
            Ok(()) => self.exports.admit(&hello),
            Err(refused) => Err(refused),
        };
        match admitted {
            Ok(admitted) => self.admitted(secured, caller, &hello, admitted).await,
            Err(refused) => self.refuse(&mut secured, caller, refused).await,
        }
    }

    /// TLS, and what the caller wants.
    async fn greet(&self, stream: TcpStream, caller: IpAddr) -> Result<(Secured, Hello), Refused> {
        let Some(place) = self.handshakes.enter(caller) else {
            return Err((Refusal::Busy, "too many handshakes under way".to_owned()));
        };
        watch(&stream, carry::SILENCE)
            .map_err(|error| (Refusal::Hello, format!("cannot set the connection up: {error}")))?;
        let tls = self.who.now().tls().await;
        let mut config = ServerConfig::clone(&tls.server);
        config.alpn_protocols = vec![ALPN.to_vec()];
        let accept = TlsAcceptor::from(Arc::new(config)).accept(carry::buffered(stream));
        let late = || (Refusal::Hello, format!("no handshake within {HANDSHAKE:?}"));
        let secured = timeout(HANDSHAKE, accept.into_fallible()).await.map_err(|_| late())?;
        let mut secured = match secured {
            Ok(secured) => TlsStream::from(secured),
            Err((error, stream)) => {
                let goodbye = timeout(HANDSHAKE, say_goodbye(stream.into_inner()));
                tokio::spawn(async move {
                    let _ = goodbye.await;
                    drop(place);
                });
                return Err(match Untrusted::find(&error) {
                    Some(why) => (Refusal::Untrusted, why.to_string()),
                    None => (Refusal::Hello, format!("the handshake was cut off: {error}")),
                });
            }
        };
        if secured.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err((Refusal::Hello, "it does not speak the tunnel's protocol".to_owned()));
        }
        match timeout(HANDSHAKE, hello::receive(&mut secured)).await {
            Ok(Ok(hello)) => Ok((secured, hello)),
            Ok(Err(error)) => match Untrusted::find(&error) {
                Some(why) => Err((Refusal::Untrusted, why.to_string())),
                None => Err((Refusal::Hello, format!("it does not say what it wants: {error}"))),
            },
            Err(_) => {
                Err((Refusal::Hello, format!("it does not say what it wants within {HANDSHAKE:?}")))
            }
        }
    }

    /// Whether the caller's certificate is that of the node that it says it is.
    fn prove(&self, secured: &Secured, hello: &Hello) -> Result<(), Refused> {
        let who = self.who.now();
        let (cluster, node) = (who.cluster(), &hello.node);
        let certificates = secured.get_ref().1.peer_certificates();
        let proven = match certificates.and_then(<[_]>::first) {
            Some(certificate) => check::is_of(certificate, Owner { cluster, node })
                .map_err(|error| error.to_string()),
            // TLS was told to demand one.
            None => Err("there is none".to_owned()),
        };
        proven.map_err(|error| {
            let text = format!(
                "it calls itself node `{node}`, and its certificate is not for that node of cluster `{cluster}`: {error}"
            );
            (Refusal::WrongNode, text)
        })
    }

    /// From here on the export does not end without this connection.
    async fn admitted(&self, secured: Secured, caller: IpAddr, hello: &Hello, admitted: Admitted) {
        let (mut secured, port, traffic) = (secured, admitted.port, &admitted.traffic);
        let connected = tokio::select! {
            connected = timeout(CONNECT, self.sockets.connect(port)) => connected,
            () = admitted.stop.cancelled() => return,
        };
        let error = match connected {
            Ok(Ok(mut plain)) => {
                let carried = async {
                    hello::send(&mut secured, &Answer::Welcome).await?;
                    let _open = traffic.open();
                    carry::carry(&mut plain, &mut secured, traffic, &admitted.stop).await
                };
                let stopped = async {
                    admitted.stop.cancelled().await;
                    carry::last_answers(traffic).await;
                };
                let ended = tokio::select! {
                    ended = carried => ended,
                    () = stopped => Ok(()),
                };
                if admitted.stop.is_cancelled() {
                    // First, so that nothing more comes to the server.
                    drop(secured);
                    return carry::farewell(plain).await;
                }
                if let Err(error) = ended {
                    tracing::info!(%caller, volume = %hello.volume, %error, "a connection ended");
                    carry::abort(plain);
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {CONNECT:?}"),
        };
        let text = format!(
            "volume {}: its NFS server on this node (port {port}) does not answer: {error}",
            hello.volume
        );
        self.exports.refused(hello.volume, Refusal::NoServer, &text);
        // Else an export that is to go waits for the answer to whom it does not have.
        drop(admitted);
        self.refuse(&mut secured, caller, (Refusal::NoServer, text)).await;
    }

    /// Tells the caller why, so that its own log and status say it.
    async fn refuse(&self, secured: &mut Secured, caller: IpAddr, (reason, text): Refused) {
        self.refusals.tell(caller, reason, &text);
        if matches!(reason, Refusal::WrongNode | Refusal::UnknownVolume) {
            self.strangers.fetch_add(1, Ordering::Relaxed);
        }
        let told = async {
            hello::send(secured, &Answer::Refused { reason, text }).await?;
            secured.shutdown().await
        };
        // The caller has its own ideas of how long it waits.
        let _ = timeout(HANDSHAKE, told).await;
    }

    fn stranger(&self, caller: IpAddr, (reason, text): Refused) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
        self.refusals.tell(caller, reason, text);
    }
}

/// Binds the port for other nodes.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen for other nodes' tunnels on {address}: {error} (peer.tunnel_listen)")
    })
}
