#!/usr/bin/env bash
# Builds the file-system test suites that the lab's machines run on shared volumes (docs/lab.md): from
# crates.io, pinned, kept outside the clone. What is there is not built again.
#
# HAWSER_TOOLS  where they are kept (~/.cache/hawser/tools)
set -euo pipefail

root=${HAWSER_TOOLS:-$HOME/.cache/hawser/tools}/suites
for suite in fsx@0.3.2 pjdfstest@0.2.2; do
    # cargo's own note of what it installed: "fsx 0.3.2 (registry...)" = ["fsx"]
    grep -qs "^\"${suite/@/ } " "$root/.crates.toml" && continue
    echo "building: $suite in $root"
    cargo install --quiet --locked --root "$root" "$suite"
done
