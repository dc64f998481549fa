//! The requests that are made and the answers to them, as ZooKeeper 3.4 and all later ones know them.
//!
//! <https://github.com/apache/zookeeper/blob/master/zookeeper-jute/src/main/resources/zookeeper.jute>

use super::jute::{In, Malformed, Out};

pub(super) const CREATE: i32 = 1;
pub(super) const DELETE: i32 = 2;
pub(super) const GET_DATA: i32 = 4;
pub(super) const SET_DATA: i32 = 5;
pub(super) const SYNC: i32 = 9;
pub(super) const PING: i32 = 11;
pub(super) const GET_CHILDREN: i32 = 12;
pub(super) const MULTI: i32 = 14;
pub(super) const AUTH: i32 = 100;
const ERROR: i32 = -1;

/// Numbers of requests that are none of a caller.
pub(super) const XID_EVENT: i32 = -1;
pub(super) const XID_PING: i32 = -2;
pub(super) const XID_AUTH: i32 = -4;

/// Matches any version of a znode.
pub(super) const ANY: i32 = -1;

/// What the server says when it does not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Code {
    #[error("there is no such znode")]
    NoNode,
    #[error("not authorized: look at the digest in the configuration, and at who made the znodes")]
    NoAuth,
    #[error("the znode has another version")]
    BadVersion,
    #[error("the znode is there already")]
    NodeExists,
    #[error("the session is over")]
    SessionExpired,
    #[error("the session is on another connection")]
    SessionMoved,
    #[error("it does not accept the digest")]
    AuthFailed,
    #[error("ZooKeeper's error {0}")]
    Other(i32),
}

impl Code {
    /// `None` is no error.
    pub(super) const fn of(number: i32) -> Option<Self> {
        Some(match number {
            0 => return None,
            -101 => Self::NoNode,
            -102 => Self::NoAuth,
            -103 => Self::BadVersion,
            -110 => Self::NodeExists,
            -112 => Self::SessionExpired,
            -115 => Self::AuthFailed,
            -118 => Self::SessionMoved,
            other => Self::Other(other),
        })
    }
}

/// Who may read and change the znodes that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Everybody,
    /// Whoever gave the same digest.
    Creator,
}

/// How long a znode lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Persistent = 0,
    /// As long as the session.
    Ephemeral = 1,
    /// For ever, and a growing number is added to its name.
    Numbered = 2,
}

/// A change of a znode, alone or among others in one step.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create { path: String, data: Vec<u8>, life: Life },
    Delete { path: String, version: i32 },
    Set { path: String, data: Vec<u8>, version: i32 },
}

impl Op {
    pub(super) const fn number(&self) -> i32 {
        match self {
            Self::Create { .. } => CREATE,
            Self::Delete { .. } => DELETE,
            Self::Set { .. } => SET_DATA,
        }
    }

    pub(super) fn body(&self, access: Access) -> Vec<u8> {
        let out = Out::default();
        match self {
            Self::Create { path, data, life } => {
                let (scheme, id) = match access {
                    Access::Everybody => ("world", "anyone"),
                    Access::Creator => ("auth", ""),
                };
                let out = out.text(path).bytes(data);
                out.int(1).int(ALL_RIGHTS).text(scheme).text(id).int(*life as i32)
            }
            Self::Delete { path, version } => out.text(path).int(*version),
            Self::Set { path, data, version } => out.text(path).bytes(data).int(*version),
        }
        .done()
    }
}

const ALL_RIGHTS: i32 = 31;

/// All of the changes, or none.
pub(super) fn multi(ops: &[Op], access: Access) -> Vec<u8> {
    let out = ops.iter().fold(Out::default(), |out, op| {
        out.int(op.number()).flag(false).int(-1).append(&op.body(access))
    });
    out.int(ERROR).flag(true).int(-1).done()
}

/// What a change that was made says: the path of a created znode, the new version of a changed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    Created(String),
    Changed(i32),
    Nothing,
}

/// A change was not made: which one was refused, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) index: usize,
    pub(super) code: Code,
}

/// The server's answers to [`multi`]: where one is refused, those before it say 0, and those after
/// it that they depend on it (-2).
pub(super) fn multi_answer(body: &[u8]) -> Result<Result<Vec<Done>, Refused>, Malformed> {
    let mut input = In::new(body);
    let mut all = Vec::new();
    let mut refused = None;
    loop {
        let (kind, end, _) = (input.int()?, input.flag()?, input.int()?);
        if end {
            return Ok(refused.map_or(Ok(all), Err));
        }
        all.push(match kind {
            CREATE => Done::Created(input.text()?.to_owned()),
            SET_DATA => Done::Changed(Stat::read(&mut input)?.version),
            DELETE => Done::Nothing,
            ERROR => {
                let code = Code::of(input.int()?);
                let index = all.len();
                refused = refused.or(code.map(|code| Refused { index, code }));
                Done::Nothing
            }
            _ => return Err(Malformed),
        });
    }
}

/// What is known of a znode besides its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) version: i32,
    /// The session that it lives as long as; 0 for a persistent one.
    pub(super) owner: i64,
}

impl Stat {
    pub(super) fn read(input: &mut In<'_>) -> Result<Self, Malformed> {
        let _created_modified = [input.long()?, input.long()?, input.long()?, input.long()?];
        let version = input.int()?;
        let _children_and_acl = [input.int()?, input.int()?];
        let owner = input.long()?;
        let _data_and_children = (input.int()?, input.int()?, input.long()?);
        Ok(Self { version, owner })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_one_of_many_is_the_first_with_an_error() {
        let error = |code| Out::default().int(ERROR).flag(false).int(code).int(code).done();
        let end = Out::default().int(ERROR).flag(true).int(-1).done();
        let body = [error(0), error(-110), error(-2), end].concat();
        assert_eq!(multi_answer(&body), Ok(Err(Refused { index: 1, code: Code::NodeExists })));
    }

    #[test]
    fn an_answer_that_ends_too_early_is_malformed() {
        let body = Out::default().int(CREATE).flag(false).int(0).text("/a").done();
        assert_eq!(multi_answer(&body), Err(Malformed));
    }
}
