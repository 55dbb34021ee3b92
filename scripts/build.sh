#!/usr/bin/env bash
# build.sh [TARGET…]: builds a release into build/ (the program is build/graft). Needs what scripts/deps.sh brings.
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
[ -f build/build.ninja ] || cmake --preset release >&2
cmake --build build -j "$(nproc)" ${1:+--target "$@"} >&2
