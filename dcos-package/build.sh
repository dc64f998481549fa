#!/usr/bin/env bash
# Builds a release of hawser for DC/OS: the program, and a Universe repository of one package that
# `dcos package repo add` takes.
#
#   dcos-package/build.sh --artifacts URL [--binary FILE] [--target TRIPLE] [--out DIR]
#
#   --artifacts URL   where the agents will fetch the program from: URL/hawser. Put the directory
#                     `artifacts` of the output there, on any web server that the agents and whoever uses
#                     the DC/OS CLI reach
#   --binary FILE     a hawser to pack (default: release builds are made)
#   --target TRIPLE   what to build for (default: static musl for x86-64, where the toolchain can;
#                     otherwise the host's own C library, and it is said)
#   --out DIR         where it goes (default: target/universe)
#
# The output: artifacts/hawser, which is the CLI's subcommand, too; artifacts/hawser-arm64, static, where the toolchain
# can (agents of DC/OS are x86-64: it is for hosts of Docker, Swarm and Nomad); a .sha256 of each; package/ (the
# directory for a Universe of many packages: repo/packages/H/hawser/0) and repo.json, which a web server must send as
#   Content-Type: application/vnd.dcos.universe.repo+json;charset=utf-8;version=v4
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname "$here")
target_dir=${CARGO_TARGET_DIR:-$repo/target}
artifacts=
binary=
target=
out=$target_dir/universe

fail() {
    echo "dcos-package/build.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --artifacts) artifacts=${2%/} && shift 2 ;;
    --binary) binary=$2 && shift 2 ;;
    --target) target=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    *) fail "unknown option $1" ;;
    esac
done
[ -n "$artifacts" ] || fail "--artifacts URL is missing: the agents have to fetch the program from somewhere"

# The C compiler for static programs of that processor, or nothing: some of what hawser stands on is C.
musl_compiler() {
    local own=
    [ "$(uname -m)" != "$1" ] || own=musl-gcc
    # Not through a pipe that ends early: that would be a failure, too.
    command -v "$1-linux-musl-gcc" || { [ -z "$own" ] || command -v "$own"; } || true
}

# Why nothing static can be built for that processor, or nothing.
missing_for() {
    [ -d "$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$1-unknown-linux-musl" ] ||
        echo "Rust's library (rustup target add $1-unknown-linux-musl)"
    [ -n "$(musl_compiler "$1")" ] ||
        echo "a C compiler (musl-gcc of the package musl-tools on such a machine, $1-linux-musl-gcc elsewhere)"
}

# Builds for a triple, and says where the program is.
build_for() {
    local triple=$1 processor=${1%%-*} compiler
    if [ "${triple##*-}" = musl ]; then
        compiler=$(musl_compiler "$processor")
        export "CC_${triple//-/_}=$compiler"
        # Rust has the start files and the C library for the linking, and its `cc` of this processor links them. With musl-gcc in its
        # place the program names a loader, and crashes (seen with Debian's musl-gcc 1.2.3 and Rust 1.95).
        [ "$processor" = "$(uname -m)" ] ||
            export "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_LINKER=$compiler"
    fi
    (cd "$repo" && "${CARGO:-cargo}" build --locked --release --bin hawser --target "$triple" >&2)
    echo "$target_dir/$triple/release/hawser"
}

ensure_static() {
    ! readelf --program-headers "$1" | grep -q INTERP || fail "$1 is not static: it names a loader"
}

arm64=
if [ -z "$binary" ]; then
    missing=$(missing_for x86_64)
    if [ -z "$target" ] && [ -n "$missing" ]; then
        echo "note: no static program for x86-64 can be built here. What is missing:"
        echo "$missing"
        echo "note: it is linked with this host's C library, and agents need one at least as new:"
        ldd --version | sed -n 1p
        (cd "$repo" && "${CARGO:-cargo}" build --locked --release --bin hawser)
        binary=$target_dir/release/hawser
    else
        target=${target:-x86_64-unknown-linux-musl}
        binary=$(build_for "$target")
        if [ "${target##*-}" = musl ]; then
            ensure_static "$binary"
            echo "Before you hand it out, run tests/docker with HAWSER_TEST_BINARY=$binary: of static programs a debug build without EBS"
            echo "has served local volumes, and nothing else was tried. --target x86_64-unknown-linux-gnu links with this host's C library."
        fi
    fi
    missing=$(missing_for aarch64)
    if [ -n "$missing" ]; then
        echo "note: nothing for arm64. What is missing:"
        echo "$missing"
    else
        arm64=$(build_for aarch64-unknown-linux-musl)
        ensure_static "$arm64"
    fi
fi
[ -x "$binary" ] || fail "$binary is not an executable file"

rm -rf "$out"
mkdir -p "$out/artifacts" "$out/package"
install -m 755 "$binary" "$out/artifacts/hawser"
[ -z "$arm64" ] || install -m 755 "$arm64" "$out/artifacts/hawser-arm64"
for program in "$out"/artifacts/*; do
    (cd "$out/artifacts" && sha256sum "${program##*/}" >"${program##*/}.sha256")
done
cp "$here"/universe/{package.json,config.json,marathon.json.mustache} "$out/package/"
sha256=$(cut -d' ' -f1 "$out/artifacts/hawser.sha256")
sed -e "s|{{artifacts}}|$artifacts|" -e "s|{{sha256}}|$sha256|" "$here/universe/resource.json" >"$out/package/resource.json"

# What root runs on every agent is compared with this, wherever it came from.
sed -i "s|{{sha256}}|$sha256|" "$out/package/marathon.json.mustache"

python3 - "$out/package" "$out/repo.json" <<'PYTHON'
import base64, json, pathlib, sys

package, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
read = lambda name: json.loads((package / name).read_text())
template = (package / "marathon.json.mustache").read_bytes()
whole = dict(
    read("package.json"),
    releaseVersion=0,
    config=read("config.json"),
    resource=read("resource.json"),
    marathon={"v2AppMustacheTemplate": base64.b64encode(template).decode()},
)
out.write_text(json.dumps({"packages": [whole]}, indent=2) + "\n")
PYTHON

echo "In $out:"
echo "  artifacts/hawser  to $artifacts/hawser (sha256 $(cut -c1-16 "$out/artifacts/hawser.sha256")…)"
echo "  repo.json         to a web server; then: dcos package repo add --index=0 hawser http://…/repo.json"
