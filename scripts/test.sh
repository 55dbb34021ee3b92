#!/usr/bin/env bash
# test.sh [ctest options]: brings the dependencies and the base, builds, runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh
scripts/fetch_base.sh
scripts/build.sh
ctest --test-dir build --output-on-failure -j "$(nproc)" "$@"
