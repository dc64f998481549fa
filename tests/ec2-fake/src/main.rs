//! The EC2 fake as a program, for demonstrations: it says where it is and what a client needs, and
//! ends on SIGTERM, SIGINT, or when its standard input is closed.

use std::{
    io::{IsTerminal, Read, Write},
    os::unix::fs::FileTypeExt,
    process::ExitCode,
    time::Duration,
};

use ec2_fake::{Delays, Fake, FakeConfig, InstanceSpec};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: ec2-fake --listen ADDR --dir DIR [--delay-ms N] [--zone us-east-1a] \
                     [--instance i-0123456789abcdef0]";

#[tokio::main]
async fn main() -> ExitCode {
    let config = match parse(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "ec2-fake: {why}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ec2-fake: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: FakeConfig) -> std::io::Result<()> {
    // Before anything is said: who reads it may send a signal at once.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let fake = Fake::try_start(config)?;
    let mut out = std::io::stdout();
    let instance = fake.first_instance().id;
    writeln!(out, "# EC2 and the metadata of {instance}; controls at {}/fake/", fake.endpoint())?;
    writeln!(out, "# devices in {}", fake.play_dir(&instance).display())?;
    for (name, value) in fake.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    out.flush()?;
    let (closed_tx, closed) = tokio::sync::oneshot::channel();
    if ends_with_input() {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut std::io::sink());
            let _ = closed_tx.send(());
        });
    } else {
        // Never sent, never dropped: only a signal ends it.
        std::mem::forget(closed_tx);
    }
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        _ = closed => {}
    }
    drop(fake);
    Ok(())
}

/// A pipe, a socket or a terminal is closed by somebody; /dev/null or a file says nothing.
fn ends_with_input() -> bool {
    let kind = std::fs::metadata("/dev/stdin").map(|meta| meta.file_type());
    std::io::stdin().is_terminal() || kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<FakeConfig, String> {
    let (mut listen, mut dir, mut delays) = (None, None, Delays::default());
    let mut instance = InstanceSpec::new("us-east-1a");
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name}: a value is missing"))?;
        let wrong = || format!("{name}: {value} cannot be read");
        match &*name {
            "--listen" => listen = Some(value.parse().map_err(|_| wrong())?),
            "--dir" => dir = Some(value),
            "--delay-ms" => {
                delays = Delays::all(Duration::from_millis(value.parse().map_err(|_| wrong())?));
            }
            "--zone" => instance.zone = value,
            "--instance" => instance.id = value,
            other => return Err(format!("{other}: no such option")),
        }
    }
    let mut config = FakeConfig::new(dir.ok_or("--dir is missing")?);
    config.listen = listen.ok_or("--listen is missing")?;
    config.delays = delays;
    if !config.zones.contains(&instance.zone) {
        config.zones.push(instance.zone.clone());
    }
    config.instance = instance;
    Ok(config)
}
