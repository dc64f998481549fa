//! The `hawser` binary: everything is in the library.

fn main() {
    // A panic is a crash, in the builds that the tests use as in a release (see Cargo.toml).
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let exit = hawser::cli::run(std::env::args_os());
    std::process::exit(exit.code());
}
