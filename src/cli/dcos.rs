//! `dcos hawser …`: this program as a subcommand of the DC/OS CLI, which calls it `dcos-hawser hawser …`
//! (dcos-cli, design/plugin.md).
//!
//! ```text
//! dcos hawser marathon check app.json    here: no daemon is needed
//! dcos hawser volume ls                  dcos node ssh … -- sudo -n /opt/hawser/bin/hawser volume ls
//! ```
//!
//! Hawser's admin API is a socket of root's on each agent and is not carried anywhere: who may use it is who may become
//! root on an agent, as without this. Any agent of the cluster answers for all of it. The remote side is a shell (so is ssh's),
//! so that only arguments go there which no shell reads.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::Parser;

use super::{Cli, Command, Exit};
use crate::sys::process;

const NAME: &str = "dcos-hawser";
/// Where `hawser agent install` puts it.
const PROGRAM: &str = "/opt/hawser/bin/hawser";
const INFO: &str = "Volumes for containers: look at them, change them, and check apps";
/// What `dcos config set hawser.agent IP` takes; it reaches us as `DCOS_HAWSER_AGENT`.
const SCHEMA: &str = r#"{
  "$schema": "http://json-schema.org/schema#",
  "type": "object",
  "properties": {
    "agent": {
      "type": "string",
      "title": "Agent",
      "description": "The private IP address of the agent whose hawser is asked"
    }
  },
  "additionalProperties": false
}"#;
const USAGE: &str = "\
dcos hawser [--agent IP] [--no-proxy] COMMAND: hawser's commands from outside of the cluster.
What needs no daemon (marathon, spec, config check, completions) runs here. Volumes, snapshots, nodes and doctor are asked of the hawser of
one agent, by `dcos node ssh` as a user who may sudo: --agent, or `dcos config set hawser.agent IP`. It goes through a master unless
--no-proxy is said.
";

/// Whether the program was called by the DC/OS CLI, by its name.
pub(super) fn is_called(name: Option<&OsStr>) -> bool {
    name.map(Path::new).and_then(Path::file_name).is_some_and(|name| name == NAME)
}

/// Where a command is carried out.
enum Place {
    Here,
    Agent,
    Nowhere,
}

/// `arguments` is what follows the program's name.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> Exit {
    let mut arguments: Vec<_> = arguments.collect();
    if arguments.first().is_some_and(|first| first == "hawser") {
        arguments.remove(0);
    }
    match arguments.first().and_then(|first| first.to_str()) {
        Some("--info") => said(INFO),
        Some("--config-schema") => said(SCHEMA),
        Some("-h" | "--help" | "help") if arguments.len() == 1 => {
            println!("{USAGE}");
            super::parse_and_run(vec!["dcos hawser".into(), "--help".into()])
        }
        _ => command(arguments).unwrap_or_else(|why| {
            eprintln!("dcos hawser: {why}");
            Exit::Usage
        }),
    }
}

fn said(text: &str) -> Exit {
    println!("{text}");
    Exit::Success
}

fn command(mut arguments: Vec<OsString>) -> Result<Exit, String> {
    let mut agent = std::env::var("DCOS_HAWSER_AGENT").ok();
    let mut proxy = true;
    while let Some(first) = arguments.first().and_then(|first| first.to_str()).map(str::to_owned) {
        match first.split_once('=') {
            Some(("--agent", ip)) => agent = Some(ip.to_owned()),
            None if first == "--no-proxy" => proxy = false,
            None if first == "--agent" && arguments.len() > 1 => {
                agent = arguments.remove(1).into_string().ok();
            }
            _ => break,
        }
        arguments.remove(0);
    }
    let line: Vec<OsString> =
        [OsString::from("dcos hawser")].into_iter().chain(arguments).collect();
    // Mistakes, and --help of a command, are told here.
    let place = match Cli::try_parse_from(&line) {
        Ok(cli) => place(&cli.command),
        Err(_) => Place::Here,
    };
    match place {
        Place::Here => Ok(super::parse_and_run(line)),
        Place::Agent => ask(agent.as_deref(), proxy, line.get(1..).unwrap_or_default()),
        Place::Nowhere => Err(format!(
            "this command is for an agent itself: `dcos node ssh --master-proxy --private-ip=IP`, and there `sudo {PROGRAM} …`"
        )),
    }
}

fn place(command: &Command) -> Place {
    match command {
        Command::Spec(_) | Command::Marathon(_) | Command::Config(_) | Command::Completions(_) => {
            Place::Here
        }
        Command::Volume(_) | Command::Snapshot(_) | Command::Node(_) | Command::Doctor(_) => {
            Place::Agent
        }
        #[cfg(feature = "ebs")]
        Command::Selftest(_) => Place::Nowhere,
        Command::Serve(_)
        | Command::Dvdcli(_)
        // Keys belong on the machine that makes them.
        | Command::Pki(_)
        | Command::Store(_)
        | Command::Agent(_)
        | Command::Release(_)
        | Command::MountHelper
        | Command::Tunnel(_) => Place::Nowhere,
    }
}

/// Becomes `dcos node ssh`.
fn ask(agent: Option<&str>, proxy: bool, arguments: &[OsString]) -> Result<Exit, String> {
    let agent = agent.filter(|agent| !agent.is_empty()).ok_or(
        "which agent is asked? `dcos node list` shows them, and any with hawser will do: --agent IP, or `dcos config set hawser.agent IP`",
    )?;
    if !agent.chars().all(|c| c.is_ascii_alphanumeric() || ".:-".contains(c)) {
        return Err(format!("`{agent}` is no address of an agent"));
    }
    if let Some(odd) = arguments.iter().find(|argument| !is_plain(argument)) {
        return Err(format!(
            "`{}` would be read by the agent's shell: run it there (`dcos node ssh --master-proxy --private-ip={agent}`)",
            odd.to_string_lossy()
        ));
    }
    let mut line: Vec<OsString> = vec!["node".into(), "ssh".into()];
    if proxy {
        line.push("--master-proxy".into());
    }
    line.push(format!("--private-ip={agent}").into());
    line.extend(["--", "sudo", "-n", PROGRAM].map(OsString::from));
    line.extend_from_slice(arguments);
    let dcos = std::env::var_os("DCOS_CLI_EXECUTABLE_PATH").unwrap_or_else(|| "dcos".into());
    let error = process::become_program(&dcos, &line);
    Err(format!("cannot start {}: {error}", dcos.to_string_lossy()))
}

fn is_plain(argument: &OsStr) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.,=:/@%+".contains(c);
    argument.to_str().is_some_and(|text| !text.is_empty() && text.chars().all(allowed))
}
