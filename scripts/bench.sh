#!/usr/bin/env bash
# bench.sh [--python PYTHON] [--set KEY=VALUE]… [--rounds N] [--steps N] …: training speed of graft on this machine beside its
# matrix rate, policies of graft beside each other, and PEFT on the same rows where a Python with torch, transformers, peft and
# trl is given; start-up; attention beside SDPA. Keeps the result in tests/bench/results/. All options: bench.sh --help.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh
scripts/fetch_base.sh
scripts/build.sh graft gemm_probe attention_bench
exec python3 tests/bench/bench.py --graft build/graft --probe build/tests/bench/gemm_probe \
  --attention build/tests/bench/attention_bench --base .deps/base/SmolLM2-135M-Instruct.Q4_1.gguf --results tests/bench/results "$@"
