#!/usr/bin/env bash
# Builds a release of hawser for DC/OS: the program, and a Universe repository of one package that
# `dcos package repo add` takes.
#
#   dcos-package/build.sh --artifacts URL [--binary FILE] [--target TRIPLE] [--out DIR]
#
#   --artifacts URL   where the agents will fetch the program from: URL/hawser. Put the directory
#                     `artifacts` of the output there, on any web server that the agents reach
#   --binary FILE     a hawser to pack (default: a release build is made)
#   --target TRIPLE   what to build for (default: static musl for this machine's processor, where the
#                     toolchain can; otherwise the host's own C library, and it is said)
#   --out DIR         where it goes (default: target/universe)
#
# The output: artifacts/hawser, artifacts/hawser.sha256, package/ (the directory for a Universe of many
# packages: repo/packages/H/hawser/0) and repo.json, which a web server must send as
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

if [ -z "$binary" ]; then
    musl=$(uname -m)-unknown-linux-musl
    if [ -z "$target" ] && [ -d "$(rustc --print sysroot)/lib/rustlib/$musl" ] && command -v musl-gcc >/dev/null; then
        target=$musl
    fi
    if [ -n "$target" ]; then
        (cd "$repo" && cargo build --locked --release --bin hawser --target "$target")
        binary=$target_dir/$target/release/hawser
    else
        echo "note: no toolchain for $musl here (rustup target add $musl; apt-get install musl-tools):"
        echo "note: the program is linked with this host's C library, and agents need one at least as new:"
        ldd --version | head -1
        (cd "$repo" && cargo build --locked --release --bin hawser)
        binary=$target_dir/release/hawser
    fi
fi
[ -x "$binary" ] || fail "$binary is not an executable file"

rm -rf "$out"
mkdir -p "$out/artifacts" "$out/package"
install -m 755 "$binary" "$out/artifacts/hawser"
(cd "$out/artifacts" && sha256sum hawser >hawser.sha256)
cp "$here"/universe/{package.json,config.json,marathon.json.mustache} "$out/package/"
sed "s|{{artifacts}}|$artifacts|" "$here/universe/resource.json" >"$out/package/resource.json"

# What root runs on every agent is compared with this, wherever it came from.
sha256=$(cut -d' ' -f1 "$out/artifacts/hawser.sha256")
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
