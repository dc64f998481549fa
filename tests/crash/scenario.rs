//! Runs one scenario at every point.

use std::{
    fs, io,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Start, World};

/// A daemon that was killed at a point of the *second* start, too, dies at one of these.
const SECOND_POINTS: [usize; 4] = [1, 2, 4, 7];

/// Background work that has not gone on for so long has ended.
const QUIET: Duration = Duration::from_millis(500);

/// What is done, with a daemon that may die at any moment.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The host that it happens on.
    pub(crate) world: fn() -> World,
    /// Worlds at the same time: as many as it takes to keep the machine busy.
    pub(crate) workers: usize,
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// Before the daemon that dies is started.
    pub(crate) prepare: fn(&mut World),
    /// What is interrupted; each step must be possible to repeat.
    pub(crate) steps: fn(&World) -> Result<(), Interrupted>,
    /// After the last start, before the steps are repeated: what recovery must do by itself.
    pub(crate) recovered: fn(&World),
    /// After the steps have succeeded: what must be true, and the way back to an empty world.
    pub(crate) finish: fn(&mut World),
}

/// The daemon died during a call.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl From<io::Error> for Interrupted {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// How often a daemon is killed in one run.
#[derive(Clone, Copy)]
enum Kills {
    Once,
    /// And once more in the recovery.
    Twice,
}

impl Scenario {
    /// Kills at every point, once.
    #[track_caller]
    pub(crate) fn run(&self) {
        let points = self.trace();
        let runs: Vec<_> = (1..=points.len()).map(|point| (point, None)).collect();
        self.run_all(&points, &runs, Kills::Once);
    }

    /// Kills at every point, and again in the recovery from that.
    #[track_caller]
    pub(crate) fn run_twice(&self) {
        let points = self.trace();
        let runs: Vec<_> = (1..=points.len())
            .flat_map(|point| SECOND_POINTS.map(|second| (point, Some(second))))
            .collect();
        self.run_all(&points, &runs, Kills::Twice);
    }

    /// The names of all points that an uninterrupted run passes.
    fn trace(&self) -> Vec<String> {
        thread::scope(|scope| {
            let traced = scope.spawn(|| {
                let mut world = self.prepared();
                let file = world.path("trace");
                let trace = file.display().to_string();
                world.environment.insert("HAWSER_FAULT_TRACE".into(), trace);
                world.start();
                (self.steps)(&world).expect("an uninterrupted run succeeds");
                let points = when_quiet(&file);
                world.stop();
                world.environment.clear();
                world.start();
                (self.finish)(&mut world);
                world.finish();
                points.lines().map(str::to_owned).collect::<Vec<_>>()
            });
            let points = traced.join().expect("an uninterrupted run passes");
            assert!(points.len() >= 4, "{}: too few points: {points:?}", self.name);
            points
        })
    }

    #[track_caller]
    fn run_all(&self, points: &[String], runs: &[(usize, Option<usize>)], kills: Kills) {
        let (next, died) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let failures = Mutex::new(Vec::new());
        let work = || {
            while let Some((point, second)) = runs.get(next.fetch_add(1, Ordering::SeqCst)) {
                // Each run has a thread, and with it a mount namespace, of its own.
                let one = || self.run_one(*point, *second);
                let result = thread::scope(|scope| scope.spawn(one).join());
                match result {
                    Ok(killed) => died.fetch_add(usize::from(killed), Ordering::SeqCst),
                    Err(_) => {
                        let name = points.get(point - 1).map_or("?", String::as_str);
                        let text = format!("{point} ({name}), then {second:?}");
                        failures.lock().unwrap().push(text);
                        0
                    }
                };
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.workers {
                scope.spawn(work);
            }
        });
        let failures = failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{}: killed at {failures:#?}", self.name);
        let died = died.into_inner();
        println!("{}: {} points, {} runs, {died} died", self.name, points.len(), runs.len());
        let enough = match kills {
            Kills::Once => runs.len() * 9 / 10,
            Kills::Twice => runs.len() * 8 / 10,
        };
        assert!(died >= enough, "{}: only {died} of {} died", self.name, runs.len());
    }

    fn prepared(&self) -> World {
        let mut world = (self.world)();
        for (key, value) in self.settings {
            world.set(key, value);
        }
        world.start();
        (self.prepare)(&mut world);
        world.stop();
        world
    }

    /// True if the daemon died.
    fn run_one(&self, point: usize, second: Option<usize>) -> bool {
        let mut world = self.prepared();
        let mut died = self.attempt(&mut world, point);
        if let Some(second) = second {
            world.end();
            self.attempt(&mut world, second);
        }
        died |= world.end();
        world.environment.clear();
        world.start();
        (self.recovered)(&world);
        (self.steps)(&world).expect("the interrupted call can be repeated");
        (self.finish)(&mut world);
        world.finish();
        died
    }

    /// Starts a daemon that dies at that point, and goes as far as it lets.
    fn attempt(&self, world: &mut World, point: usize) -> bool {
        world.environment.insert("HAWSER_FAULT".into(), point.to_string());
        match world.try_start() {
            Start::Ready => (self.steps)(world).is_err() || world.dies_soon(),
            Start::Ended(_) => true,
        }
    }
}

/// The trace, once nothing has been added for a while: background work has ended.
fn when_quiet(file: &Path) -> String {
    let read = || fs::read_to_string(file).unwrap_or_default();
    let (mut text, mut since) = (read(), Instant::now());
    while since.elapsed() < QUIET {
        thread::sleep(QUIET / 50);
        let now = read();
        if now != text {
            (text, since) = (now, Instant::now());
        }
    }
    text
}

impl World {
    /// Gives background work the time to come to its point.
    fn dies_soon(&mut self) -> bool {
        let deadline = Instant::now() + QUIET;
        while Instant::now() < deadline {
            if self.has_died() {
                return true;
            }
            thread::sleep(QUIET / 50);
        }
        false
    }

    /// Whether the daemon died by itself; ends it where it did not.
    fn end(&mut self) -> bool {
        let died = self.has_died();
        if !died {
            self.kill9();
        }
        died
    }

    /// A call that must succeed, if the daemon lives to answer.
    #[track_caller]
    pub(crate) fn step(&self, call: &str, body: &Value) -> Result<Value, Interrupted> {
        Ok(self.try_call(&format!("VolumeDriver.{call}"), body)?.ok())
    }

    /// A command that must succeed, if the daemon lives to answer.
    #[track_caller]
    pub(crate) fn command_step<const N: usize>(&self, args: [&str; N]) -> Result<(), Interrupted> {
        let output = self.cli(args);
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let away = ["cannot reach the daemon", "the daemon ended while it worked"];
        assert!(away.iter().any(|text| error.contains(text)), "hawser {args:?}: {error}");
        Err(Interrupted)
    }
}
