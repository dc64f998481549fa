//! No text makes the parser panic, and what it accepts it can write down and read again.
//!
//! The first line of the input is the name, every other line an option.

#![no_main]

use hawser::spec::{Asked, BackendKind, Bytes, Defaults, FsType, Provision, explain, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let name = lines.next().unwrap_or_default();
    let options = lines.map(|line| line.split_once('=').unwrap_or((line, "")));
    let request = match parse(name, options) {
        Ok(Asked::Volume(request)) => request,
        Ok(Asked::Help) => return,
        Err(error) => {
            let shown = error.to_string();
            assert!(
                !shown.is_empty() && !shown.contains(char::is_control),
                "{shown:?}"
            );
            return;
        }
    };
    let canonical = request.canonical();
    assert_eq!(
        parse(&canonical, []),
        Ok(Asked::Volume(request.clone())),
        "{canonical}"
    );
    for fs in FsType::ALL {
        let defaults = Defaults {
            backend: BackendKind::Local,
            size: Bytes::gib(10),
            anonymous_size: Bytes::gib(1),
            fs,
            provision: Provision::Thick,
        };
        let explanation = explain(&request, &defaults);
        let resolved = request.stated.resolve(&request.name, &defaults);
        assert_eq!(resolved.is_err(), explanation.refused.is_some());
        if let Ok(spec) = resolved {
            let difference = request
                .stated
                .first_difference(&request.name, &spec, spec.size);
            assert_eq!(difference, None);
        }
    }
});
