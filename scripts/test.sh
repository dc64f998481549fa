#!/usr/bin/env bash
# All tests, by cargo-nextest where it is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/hawser/target}

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --all-features "$@"
    cargo test --locked --all-features --doc
else
    cargo test --locked --all-features "$@"
fi
