#!/usr/bin/env bash
# bench.sh [--python PYTHON] [--rounds N] [--steps N]: training speed of graft on this machine beside its matrix rate, and
# beside PEFT on the same rows where a Python with torch, transformers and peft is given. See tests/bench/bench.py.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh
scripts/fetch_base.sh
scripts/build.sh graft gemm_probe
exec python3 tests/bench/bench.py --graft build/graft --probe build/tests/bench/gemm_probe \
  --base .deps/base/SmolLM2-135M-Instruct.Q4_1.gguf "$@"
