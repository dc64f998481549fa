//! One connection to one server, for one session. It ends once, and what was asked on it and not
//! answered is then not known to be done or not. Nothing is repeated here.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        mpsc,
        oneshot::{self, error::RecvError},
    },
    time::{timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    jute::{In, Malformed, Out},
    session::Ticket,
    wire::{AUTH, Access, Code, PING, XID_AUTH, XID_EVENT, XID_PING},
};

/// A server that has answered nothing for so long is given up, and another one is tried. One that works
/// on what was asked before is not: when all nodes of a large cluster begin at once, each request waits
/// behind thousands of others', and who gave up would only ask all of it again.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than a server sends for the longest list that is asked for.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Failure {
    /// The connection ended first: it may be done, and it may not.
    #[error("{0}")]
    Lost(String),
    /// It is not done.
    #[error(transparent)]
    Refused(#[from] Code),
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self::Lost(error.to_string())
    }
}

/// What a connection is opened with.
pub(super) struct Opening<'a> {
    pub(super) address: &'a str,
    /// The session to go on with; `None` begins one.
    pub(super) ticket: Option<&'a Ticket>,
    pub(super) session_timeout: Duration,
    pub(super) digest: Option<&'a str>,
    /// The newest change that was seen: a server that lags behind it refuses.
    pub(super) seen: &'a Arc<AtomicI64>,
}

/// A connection on which the session lives.
#[derive(Debug)]
pub(super) struct Connection {
    calls: mpsc::UnboundedSender<Call>,
    state: Arc<State>,
    pub(super) ticket: Ticket,
    pub(super) access: Access,
}

#[derive(Debug)]
struct State {
    waiting: Mutex<VecDeque<(i32, Answer)>>,
    heard: Mutex<Instant>,
    /// When it last answered a request.
    answered: Mutex<Instant>,
    why: Mutex<Option<String>>,
    ended: CancellationToken,
    seen: Arc<AtomicI64>,
}

type Answer = oneshot::Sender<Result<Vec<u8>, Code>>;

#[derive(Debug)]
struct Call {
    number: i32,
    body: Vec<u8>,
    answer: Answer,
}

impl Connection {
    /// Connects, and begins or goes on with the session. The paths of znodes whose watches went off
    /// come by the channel. `None` where the session is over.
    pub(super) async fn open(
        opening: Opening<'_>,
    ) -> Result<Option<(Self, mpsc::UnboundedReceiver<String>)>, Failure> {
        let lost = |error: std::io::Error| Failure::Lost(error.to_string());
        let limit = (opening.session_timeout / 3).min(PATIENCE);
        let begin = async {
            let mut stream = TcpStream::connect(opening.address).await.map_err(lost)?;
            stream.set_nodelay(true).map_err(lost)?;
            let session = greet(&mut stream, &opening).await?;
            Ok::<_, Failure>(session.map(|session| (stream, session)))
        };
        let begun = timeout(limit, begin).await;
        let Some((stream, session)) =
            begun.unwrap_or_else(|_| Err(Failure::Lost("no answer to the greeting".into())))?
        else {
            return Ok(None);
        };
        let (calls, inbox) = mpsc::unbounded_channel();
        let (events, watch) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            waiting: Mutex::default(),
            heard: Mutex::new(Instant::now()),
            answered: Mutex::new(Instant::now()),
            why: Mutex::default(),
            ended: CancellationToken::new(),
            seen: Arc::clone(opening.seen),
        });
        tokio::spawn(serve(stream, inbox, events, Arc::clone(&state), session.timeout));
        let access = match opening.digest {
            Some(_) => Access::Creator,
            None => Access::Everybody,
        };
        let connection = Self { calls, state, ticket: session.ticket, access };
        if let Some(digest) = opening.digest {
            let body = Out::default().int(0).text("digest").text(digest).done();
            connection.call(AUTH, body).await?;
        }
        Ok(Some((connection, watch)))
    }

    /// Asks, and waits for the answer. Requests are answered in their order.
    pub(super) async fn call(&self, number: i32, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let (answer, answered) = oneshot::channel();
        if self.calls.send(Call { number, body, answer }).is_err() {
            return Err(self.lost());
        }
        match self.patiently(answered).await {
            Some(Ok(Ok(body))) => Ok(body),
            Some(Ok(Err(code @ (Code::SessionExpired | Code::SessionMoved)))) => {
                self.state.end(code.to_string());
                Err(self.lost())
            }
            Some(Ok(Err(code))) => Err(Failure::Refused(code)),
            Some(Err(_)) => Err(self.lost()),
            None => {
                self.state.end(format!("no request had an answer in {} s", PATIENCE.as_secs()));
                Err(self.lost())
            }
        }
    }

    /// Waits as long as the server answers what was asked before, which it does in order.
    async fn patiently<T>(
        &self,
        mut answered: oneshot::Receiver<T>,
    ) -> Option<Result<T, RecvError>> {
        let mut since = Instant::now();
        loop {
            if let Ok(answer) = timeout_at((since + PATIENCE).into(), &mut answered).await {
                return Some(answer);
            }
            let latest = *lock(&self.state.answered);
            if latest <= since {
                return None;
            }
            since = latest;
        }
    }

    /// When the server was last heard.
    pub(super) fn heard(&self) -> Instant {
        *lock(&self.state.heard)
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        self.state.ended.cancelled().await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.ended.is_cancelled()
    }

    /// Why it ended.
    pub(super) fn why(&self) -> String {
        lock(&self.state.why).clone().unwrap_or_else(|| "the connection ended".into())
    }

    fn lost(&self) -> Failure {
        Failure::Lost(self.why())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without a word to the server: the session is not over by this.
        self.state.ended.cancel();
    }
}

impl State {
    fn end(&self, why: String) {
        lock(&self.why).get_or_insert(why);
        self.ended.cancel();
    }
}

struct Begun {
    ticket: Ticket,
    timeout: Duration,
}

/// The greeting: `None` where the server does not know the session any more.
async fn greet(stream: &mut TcpStream, opening: &Opening<'_>) -> Result<Option<Begun>, Failure> {
    let lost = |error: std::io::Error| Failure::Lost(error.to_string());
    let (id, password) =
        opening.ticket.map_or((0, &[0; 16][..]), |ticket| (ticket.id, &ticket.password));
    let greeting = Out::default()
        .int(0)
        .long(opening.seen.load(Ordering::Relaxed))
        .int(i32::try_from(opening.session_timeout.as_millis()).unwrap_or(i32::MAX))
        .long(id)
        .bytes(password)
        .flag(false)
        .done();
    stream.write_all(&Out::default().bytes(&greeting).done()).await.map_err(lost)?;
    let answer = read_frame(stream).await.map_err(lost)?;
    let mut input = In::new(&answer);
    let _version = input.int()?;
    let milliseconds = input.int()?;
    let (id, password) = (input.long()?, input.bytes()?.to_vec());
    if id == 0 || milliseconds <= 0 {
        return Ok(None);
    }
    let timeout = Duration::from_millis(milliseconds.unsigned_abs().into());
    Ok(Some(Begun { ticket: Ticket { id, password }, timeout }))
}

/// Until the end of the connection, for whatever reason.
async fn serve(
    stream: TcpStream,
    calls: mpsc::UnboundedReceiver<Call>,
    events: mpsc::UnboundedSender<String>,
    state: Arc<State>,
    session_timeout: Duration,
) {
    let (read, write) = stream.into_split();
    let why = tokio::select! {
        () = state.ended.cancelled() => return lock(&state.waiting).clear(),
        why = receive(read, events, &state, session_timeout) => why,
        why = send(write, calls, &state, session_timeout) => why,
    };
    state.end(why);
    lock(&state.waiting).clear();
}

/// Takes answers and events. A server that is silent for two thirds of the session is given up, while
/// there is time to find another one.
async fn receive(
    read: OwnedReadHalf,
    events: mpsc::UnboundedSender<String>,
    state: &State,
    session_timeout: Duration,
) -> String {
    let mut read = BufReader::new(read);
    let limit = (session_timeout * 2 / 3).min(PATIENCE * 2);
    loop {
        let frame = match timeout(limit, read_frame(&mut read)).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return format!("nothing was heard for {} ms", limit.as_millis()),
        };
        *lock(&state.heard) = Instant::now();
        if let Err(why) = dispatch(&frame, &events, state) {
            return why;
        }
    }
}

fn dispatch(
    frame: &[u8],
    events: &mpsc::UnboundedSender<String>,
    state: &State,
) -> Result<(), String> {
    let unreadable = |error: Malformed| error.to_string();
    let mut input = In::new(frame);
    let xid = input.int().map_err(unreadable)?;
    let (zxid, code) = (input.long().map_err(unreadable)?, input.int().map_err(unreadable)?);
    if xid == XID_EVENT {
        let (kind, _state) = (input.int().map_err(unreadable)?, input.int().map_err(unreadable)?);
        let path = input.text().map_err(unreadable)?;
        // Kind -1 is of the session, and has no path.
        if kind > 0 {
            let _ = events.send(path.to_owned());
        }
        return Ok(());
    }
    if xid == XID_PING {
        return Ok(());
    }
    state.seen.fetch_max(zxid, Ordering::Relaxed);
    *lock(&state.answered) = Instant::now();
    let Some((expected, answer)) = lock(&state.waiting).pop_front() else {
        return Err("it answers what was not asked".into());
    };
    if expected != xid {
        return Err("it answers out of order".into());
    }
    let body = frame.get(16..).unwrap_or_default().to_vec();
    // Whoever asked may have given up.
    let _ = answer.send(Code::of(code).map_or(Ok(body), Err));
    Ok(())
}

/// Sends requests, and a sign of life when there are none.
async fn send(
    mut write: OwnedWriteHalf,
    mut calls: mpsc::UnboundedReceiver<Call>,
    state: &State,
    session_timeout: Duration,
) -> String {
    let pause = (session_timeout / 4).min(PATIENCE);
    let mut xid = 0;
    loop {
        let frame = match timeout(pause, calls.recv()).await {
            Ok(Some(call)) => {
                let xid = match call.number {
                    AUTH => XID_AUTH,
                    _ => {
                        xid = if xid == i32::MAX { 1 } else { xid + 1 };
                        xid
                    }
                };
                lock(&state.waiting).push_back((xid, call.answer));
                Out::default().int(xid).int(call.number).append(&call.body).done()
            }
            Ok(None) => return "nobody asks any more".into(),
            Err(_) => Out::default().int(XID_PING).int(PING).done(),
        };
        if let Err(error) = write.write_all(&Out::default().bytes(&frame).done()).await {
            return error.to_string();
        }
    }
}

async fn read_frame(read: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = read.read_u32().await?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LONGEST_ANSWER {
        return Err(std::io::Error::other("it does not speak ZooKeeper's protocol"));
    }
    let mut frame = vec![0; length];
    read.read_exact(&mut frame).await?;
    Ok(frame)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
