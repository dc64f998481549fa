//! The `hawser` binary: everything is in the library.

#[tokio::main]
async fn main() {
    // A panic is a crash, in the builds that the tests use as in a release (see Cargo.toml).
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let exit = hawser::cli::run(std::env::args_os()).await;
    // Not by returning: that would drop the steps under way, and with them kill an mkfs or a
    // resize2fs. They end by themselves, and the next start finds their device in use until then.
    std::process::exit(exit.code());
}
