//! The `hawser` binary: everything is in the library.

#[tokio::main]
async fn main() {
    // A panic is a crash, and a crash is what recovery is tested for: better than a half-dead daemon.
    // Not by `panic = "abort"`, which benchmarks cannot have: all dependencies would be built twice.
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
