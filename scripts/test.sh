#!/usr/bin/env bash
# All tests, by cargo-nextest where it is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/hawser/target}

# Every test program in a mount namespace of its own (with nextest: every test). What one mounts is
# never copied by another's containers, whose copies would hold its volumes for a moment; and what a
# killed test leaves mounted ends with it. The tests need root as it is.
isolated=()
if [ "$(id -u)" = 0 ]; then
    isolated=(--config "target.'cfg(target_os = \"linux\")'.runner = ['unshare', '-m', '--propagation', 'slave']")
fi

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --all-features --no-fail-fast "${isolated[@]}" "$@"
    cargo test --locked --all-features --doc
else
    cargo test --locked --all-features "${isolated[@]}" "$@"
fi

# By itself: without the AWS SDK, which it does not need. Not where certain tests were asked for.
if [ $# = 0 ]; then
    cargo test --locked -p lease-model -- --nocapture
fi
