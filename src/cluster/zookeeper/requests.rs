//! The requests of a connection, by what they mean.

use super::{
    connection::{Connection, Failure},
    jute::{In, Out},
    wire::{
        ANY, Access, CREATE, Code, DELETE, Done, GET_CHILDREN, GET_DATA, Life, MULTI, Op, Refused,
        SYNC, Stat, multi, multi_answer,
    },
};

impl Connection {
    /// A znode's data, as this server has it.
    pub(super) async fn get(&self, path: &str) -> Result<Option<(Vec<u8>, Stat)>, Failure> {
        let body = Out::default().text(path).flag(false).done();
        let answer = match self.call(GET_DATA, body).await {
            Ok(answer) => answer,
            Err(Failure::Refused(Code::NoNode)) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let mut input = In::new(&answer);
        Ok(Some((input.bytes()?.to_vec(), Stat::read(&mut input)?)))
    }

    /// A znode's data, not older than this call.
    pub(super) async fn get_newest(&self, path: &str) -> Result<Option<(Vec<u8>, Stat)>, Failure> {
        // Both are sent at once: they are answered in this order.
        let (synced, got) = tokio::join!(self.sync(path), self.get(path));
        synced.and(got)
    }

    /// Brings the server up to date.
    pub(super) async fn sync(&self, path: &str) -> Result<(), Failure> {
        self.call(SYNC, Out::default().text(path).done()).await.map(drop)
    }

    /// The names of a znode's children; their next change is an event.
    pub(super) async fn watch_children(&self, path: &str) -> Result<Vec<String>, Failure> {
        self.list(path, true).await
    }

    /// The names of a znode's children.
    pub(super) async fn children(&self, path: &str) -> Result<Vec<String>, Failure> {
        self.list(path, false).await
    }

    async fn list(&self, path: &str, watch: bool) -> Result<Vec<String>, Failure> {
        let body = Out::default().text(path).flag(watch).done();
        Ok(In::new(&self.call(GET_CHILDREN, body).await?).texts()?)
    }

    /// Makes a znode where it is not there. It is looked for first: who may not make any below its
    /// parent is told so, even if it is there.
    pub(super) async fn ensure(&self, path: &str, access: Access) -> Result<(), Failure> {
        if self.get(path).await?.is_some() {
            return Ok(());
        }
        let op = Op::Create { path: path.into(), data: Vec::new(), life: Life::Persistent };
        match self.call(CREATE, op.body(access)).await {
            Ok(_) | Err(Failure::Refused(Code::NodeExists)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn create(&self, path: &str, data: &[u8], life: Life) -> Result<(), Failure> {
        let op = Op::Create { path: path.into(), data: data.into(), life };
        self.call(CREATE, op.body(self.access)).await.map(drop)
    }

    /// Deletes a znode, whether or not it is there.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        let op = Op::Delete { path: path.into(), version: ANY };
        match self.call(DELETE, op.body(self.access)).await {
            Ok(_) | Err(Failure::Refused(Code::NoNode)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// All of the changes in one step, or none of them.
    pub(super) async fn multi(&self, ops: &[Op]) -> Result<Result<Vec<Done>, Refused>, Failure> {
        let answer = self.call(MULTI, multi(ops, self.access)).await?;
        Ok(multi_answer(&answer)?)
    }
}
