//! The `hawser` binary: everything is in the library.

#[tokio::main]
async fn main() {
    let exit = hawser::cli::run(std::env::args_os()).await;
    // Not by returning: that would drop the steps under way, and with them kill an mkfs or a
    // resize2fs. They end by themselves, and the next start finds their device in use until then.
    std::process::exit(exit.code());
}
