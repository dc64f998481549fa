//! PostgreSQL on a machine, on a volume, under pgbench (tests/lab/guest/postgres.sh).

use std::time::Duration;

use super::{Job, Machine};

/// The processor is emulated, and a new database is much to write.
const SLOW: Duration = Duration::from_secs(240);

impl Machine {
    /// Starts a server in this directory; where there is no database it makes one.
    #[track_caller]
    pub(crate) fn start_postgres(&self, dir: &str) {
        self.wait(&self.spawn(&["/lab/postgres.sh", "start", dir]), SLOW).ok();
    }

    /// Ends the server in order, and lets go of its directory.
    #[track_caller]
    pub(crate) fn stop_postgres(&self) {
        self.wait(&self.spawn(&["/lab/postgres.sh", "stop"]), SLOW).ok();
    }

    /// What a statement answers, without any decoration.
    #[track_caller]
    pub(crate) fn sql(&self, statement: &str) -> String {
        let argv = ["/usr/bin/psql", "-h", "/run/postgres", "-U", "postgres", "-qAtc", statement];
        self.wait(&self.spawn(&argv), SLOW).ok()
    }

    /// Starts pgbench, to its own end or the machine's.
    #[track_caller]
    pub(crate) fn start_pgbench(&self) -> Job {
        let script = "exec pgbench -h /run/postgres -U postgres -n -c 2 -T 3600 postgres";
        self.spawn(&["/bin/sh", "-c", script])
    }

    /// Starts commits, one after the other: [`Machine::acknowledged`] says which were answered.
    #[track_caller]
    pub(crate) fn start_commits(&self, tag: &str) -> Job {
        self.spawn(&["/lab/postgres.sh", "commit", tag])
    }

    /// What was committed is there, and pgbench's sums agree.
    #[track_caller]
    pub(crate) fn assert_database_whole(&self, committed: u64) {
        let known = format!("select count(*) from acknowledged where id <= {committed}");
        assert_eq!(self.sql(&known), committed.to_string(), "acknowledged commits are lost");
        let sums = "select (select sum(abalance) from pgbench_accounts), \
            (select sum(tbalance) from pgbench_tellers), (select sum(bbalance) from pgbench_branches), \
            (select coalesce(sum(delta), 0) from pgbench_history)";
        let sums = self.sql(sums);
        let sums: Vec<&str> = sums.split('|').collect();
        assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "a transaction is torn: {sums:?}");
    }
}
