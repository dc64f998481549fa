#!/usr/bin/env bash
# Every check that runs nothing: all of them are made, then the failures are listed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/hawser/target}

# Tools are kept outside the clone and pinned.
tools=${HAWSER_TOOLS:-$HOME/.cache/hawser/tools}
cargo_deny_version=0.18.9
failed=()

check() {
    local name=$1
    shift
    echo "== $name"
    "$@" || failed+=("$name")
}

deny() {
    if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $cargo_deny_version" ]; then
        # Unoptimised it is built in a third of the time, and it runs for a second.
        CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --quiet --debug --no-default-features \
            --root "$tools" --target-dir "$tools/target" \
            --version "=$cargo_deny_version" cargo-deny || return 1
        rm -rf "$tools/target"
    fi
    # The advisories need a database that is fetched: they are not a check of the clone.
    "$tools/bin/cargo-deny" --locked check --hide-inclusion-graph bans licenses sources
}

scripts() {
    local files
    mapfile -t files < <(git ls-files '*.sh' .ci/run)
    if command -v shellcheck >/dev/null; then
        shellcheck "${files[@]}"
    else
        # At least the grammar, where shellcheck is not installed.
        for file in "${files[@]}"; do bash -n "$file" || return 1; done
    fi
}

check fmt cargo fmt --all --check
check clippy cargo clippy --locked --all-targets --all-features -- -D warnings
# By itself: with the others it would be built with their features, and the AWS SDK with it.
check clippy-model cargo clippy --locked -p lease-model --all-targets -- -D warnings
RUSTDOCFLAGS='-D warnings' check doc \
    cargo doc --locked --no-deps --all-features --document-private-items
check deny deny
check scripts scripts

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
echo "all checks passed"
