#!/usr/bin/env bash
# test.sh [ctest options]: brings the dependencies and the base, builds, runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh
scripts/fetch_base.sh
scripts/build.sh
# Tests share the cores: a thread that waits for the others of its program gives its core away at once.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
ctest --test-dir build --output-on-failure -j "$(nproc)" "$@"
