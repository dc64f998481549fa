//! The way to a volume's owner, tried until it is there.
//!
//! The kernel's connection waits meanwhile, and nothing is read from it: its client takes a connection
//! that stays open for a slow server, and one that is closed again and again for a dead one, to which it
//! comes back less and less often. What was never read was never lost, so the first bytes go to whoever
//! turns out to be the owner.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::Interest,
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, TlsStream, rustls::ClientConfig};

use super::{
    carry::{self, Secured},
    hello::{self, ALPN, Answer, Hello, Refusal},
    table::{Remote, Way},
    traffic::Traffic,
    who::Who,
};
use crate::peer::{names, server::watch as keep_alive, trust::Untrusted};

/// How long TCP may take, and then TLS with the hello.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(8);
/// The delay before the second try; each is twice the one before.
const FIRST: Duration = Duration::from_millis(50);
/// The longest: a third of it is what an owner that is back is noticed late, on average.
const LONGEST: Duration = Duration::from_secs(1);

/// What is needed to reach one volume's owner.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) who: Arc<Who>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) target: watch::Receiver<Remote>,
}

/// What came of trying to reach the owner.
pub(super) enum Reached {
    /// It is there.
    Owner(Box<Secured>),
    /// The kernel has given its connection up, or the volume is not carried any more.
    GivenUp,
    /// There is nobody to reach any more.
    Lost,
}

/// A connection to the owner. A table that names another owner meanwhile is followed; one that comes later
/// is a change of `caller.target`.
pub(super) async fn reach(plain: &TcpStream, caller: &mut Caller) -> Reached {
    match tried(plain, caller).await {
        Some(secured) => Reached::Owner(Box::new(secured)),
        None if caller.target.borrow().way == Way::Lost => Reached::Lost,
        None => Reached::GivenUp,
    }
}

async fn tried(plain: &TcpStream, caller: &mut Caller) -> Option<Secured> {
    let (since, _waiting) = (Instant::now(), caller.traffic.waiting());
    let mut delay = FIRST;
    loop {
        let target = caller.target.borrow_and_update().clone();
        if target.way == Way::Lost {
            return None;
        }
        let tried = tokio::select! {
            tried = attempt(&caller.who, &target) => tried,
            changed = caller.target.changed() => {
                // Without its sender the volume is gone, and so is this task.
                changed.ok()?;
                delay = FIRST;
                continue;
            }
        };
        let (reason, text) = match tried {
            Ok(secured) => {
                if since.elapsed() > LONGEST {
                    let (volume, owner) = (target.volume, target.owner);
                    tracing::info!(%volume, %owner, after = ?since.elapsed(), "the owner of a volume is reached");
                }
                return Some(secured);
            }
            Err(refused) => refused,
        };
        if caller.traffic.refused(reason, &text) {
            let (volume, epoch) = (target.volume, target.epoch);
            tracing::warn!(%volume, %epoch, %reason, "a volume waits for its owner: {text}");
        }
        tokio::select! {
            () = sleep(jittered(delay)) => delay = (delay * 2).min(LONGEST),
            changed = caller.target.changed() => {
                changed.ok()?;
                delay = FIRST;
            }
        }
        if is_given_up(plain).await {
            return None;
        }
    }
}

/// One try.
async fn attempt(who: &Who, target: &Remote) -> Result<Secured, (Refusal, String)> {
    let Remote { volume, epoch, port: _, owner, address, way: _ } = target;
    let at = format!("node `{owner}` at {address}");
    let unreachable = |why: String| (Refusal::Unreachable, format!("{at}: {why}"));
    let who = who.now();
    let name = names::server_name(who.cluster(), owner)
        .map_err(|error| (Refusal::Other, format!("{at}: {error}")))?;
    let stream = timeout(CONNECT, TcpStream::connect(address.as_str()))
        .await
        .map_err(|_| unreachable(format!("no answer within {CONNECT:?}")))?
        .and_then(|stream| keep_alive(&stream, carry::SILENCE).map(|()| stream))
        .map_err(|error| unreachable(error.to_string()))?;
    let ask = async {
        let tls = who.tls().await;
        let mut config = ClientConfig::clone(&tls.client);
        config.alpn_protocols = vec![ALPN.to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let mut secured = TlsStream::from(connector.connect(name, carry::buffered(stream)).await?);
        let node = who.node().clone();
        hello::send(&mut secured, &Hello { volume: *volume, epoch: *epoch, node }).await?;
        let answer = hello::receive(&mut secured).await?;
        std::io::Result::Ok((secured, answer))
    };
    match timeout(ANSWER, ask).await {
        Ok(Ok((secured, Answer::Welcome))) if secured.get_ref().1.alpn_protocol() == Some(ALPN) => {
            Ok(secured)
        }
        Ok(Ok((_, Answer::Welcome))) => {
            Err((Refusal::Hello, format!("{at}: it does not speak the tunnel's protocol")))
        }
        Ok(Ok((_, Answer::Refused { reason, text }))) => Err((reason, format!("{at}: {text}"))),
        Ok(Err(error)) => match Untrusted::find(&error) {
            Some(why) => Err((Refusal::Untrusted, format!("{at}: {why}"))),
            None => Err(unreachable(error.to_string())),
        },
        Err(_) => Err(unreachable(format!("no answer within {ANSWER:?}"))),
    }
}

/// Between a half and the whole of it: those that lost their owner together do not all come at once.
fn jittered(delay: Duration) -> Duration {
    // Without random numbers they do.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    delay / 2 + (delay / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// Whether the kernel has closed its end. What it has sent before is still there, unread.
async fn is_given_up(plain: &TcpStream) -> bool {
    let ready = tokio::select! {
        biased;
        ready = plain.ready(Interest::READABLE | Interest::ERROR) => ready,
        () = std::future::ready(()) => return false,
    };
    match ready {
        Ok(ready) => ready.is_read_closed() || ready.is_error(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_longer_than_it_was_and_never_shorter_than_half() {
        for _ in 0..1000 {
            let delay = jittered(LONGEST);
            assert!(delay >= LONGEST / 2 && delay <= LONGEST, "{delay:?}");
        }
    }
}
