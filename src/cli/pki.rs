//! `hawser pki init|node`: the certificates of the peer port. Needs no daemon, and no node.

use std::path::PathBuf;

use clap::Subcommand;

use super::Exit;
use crate::{
    peer::{
        pki::{
            AUTHORITY_DAYS, NODE_DAYS, Validity,
            files::{Existing, make_authority, make_node},
        },
        trust::day,
    },
    volume::{NodeName, check_cluster},
};

/// A century: more is a mistake, and no date in the end.
const MOST_DAYS: i64 = 36500;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make the CA of a cluster: once, on a machine that is kept
    ///
    /// Writes ca.pem, which every node gets, and ca.key, which no node gets: whoever has it can be any
    /// node of the cluster. A CA that is there is never overwritten; a new one is made in another
    /// directory.
    Init(InitArgs),
    /// Make a node's certificate and key
    ///
    /// Writes NAME.pem and NAME.key, signed by the CA in --dir. A certificate that is there is not
    /// touched; with --renew, a new key and certificate take its place and the ones before are kept as
    /// NAME.pem.old and NAME.key.old. Copy the new two over the node's: its daemon takes them up by
    /// itself. The certificate before stays valid until it ends: there is no revocation but a new CA.
    Node(NodeArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The directory of the CA
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The cluster's name, daemon.cluster of its nodes
    #[arg(long, value_name = "NAME", value_parser = cluster)]
    cluster: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    place: Place,
    /// How long it is valid
    #[arg(long, value_name = "N", default_value_t = AUTHORITY_DAYS, value_parser = days())]
    days: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct NodeArgs {
    /// The node's name, its daemon.node
    name: NodeName,
    #[command(flatten)]
    place: Place,
    /// Where the two files go [default: the directory of the CA]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How long it is valid
    #[arg(long, value_name = "N", default_value_t = NODE_DAYS, value_parser = days())]
    days: u32,
    /// Replace the certificate and key that are there
    #[arg(long)]
    renew: bool,
}

fn cluster(text: &str) -> Result<String, &'static str> {
    check_cluster(text).map(|()| text.to_owned())
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=MOST_DAYS)
}

pub(super) fn run(command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::Init(args) => init(args)?,
        Command::Node(args) => node(args)?,
    }
    Ok(Exit::Success)
}

fn init(args: &InitArgs) -> anyhow::Result<()> {
    let Place { dir, cluster } = &args.place;
    let validity = Validity::days(args.days);
    let files = make_authority(dir, cluster, validity)?;
    println!("The CA of cluster `{cluster}`, valid until {}:", day(validity.until));
    println!("  {}  goes to every node; it is no secret", files.certificate.display());
    println!(
        "  {}  goes to no node: whoever has it can be any node. Keep it safe, and a copy",
        files.key.display()
    );
    println!(
        "Next, for each node: hawser pki node NAME --dir {} --cluster {cluster}",
        dir.display()
    );
    Ok(())
}

fn node(args: &NodeArgs) -> anyhow::Result<()> {
    let (Place { dir, cluster }, name) = (&args.place, &args.name);
    let out = args.out.as_ref().unwrap_or(dir);
    let validity = Validity::days(args.days);
    let existing = if args.renew { Existing::Renew } else { Existing::Refuse };
    let files = make_node((dir, cluster), name, out, validity, existing)?;
    println!("Node `{name}` of cluster `{cluster}`, valid until {}.", day(validity.until));
    println!("Copy to that node, and to no other:");
    println!("  {}  its certificate", files.certificate.display());
    println!("  {}  its key, for root alone (0600)", files.key.display());
    println!("  {}  the CA, the same on every node", dir.join("ca.pem").display());
    if args.renew {
        println!("Its daemon takes them up by itself. The ones before are kept here as .old.");
    }
    Ok(())
}
