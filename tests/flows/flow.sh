# Sourced by the flow tests: GRAFT (the program), TESTS (this folder's parent), WORK (an empty folder, removed at the end).
set -euo pipefail
GRAFT=$1
TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export OMP_NUM_THREADS=2

fail() { echo "FAILED: $*" >&2; exit 1; }

# expect_exit CODE COMMAND…: runs it, its output in $WORK/out and $WORK/err
expect_exit() {
  local want=$1 got=0
  shift
  "$@" > "$WORK/out" 2> "$WORK/err" || got=$?
  [ "$got" = "$want" ] || { cat "$WORK/out" "$WORK/err" >&2; fail "exit $got, want $want: $*"; }
}

# losses RUN: the logged losses of a run, without what may differ between two machines or moments
losses() { grep -o '"step":[0-9]*\|"loss":[^,]*\|"eval_loss":[^,}]*\|"lr":[^,]*\|"grad_norm":[^,]*' "$1/metrics.jsonl"; }

# same_run A B: adapter, last checkpoint's optimizer and logged losses are equal byte for byte
same_run() {
  cmp "$1/adapter/adapter_model.safetensors" "$2/adapter/adapter_model.safetensors" || fail "the adapters differ"
  local last
  last=$(ls "$1/checkpoints" | tail -n 1)
  [ "$last" = "$(ls "$2/checkpoints" | tail -n 1)" ] || fail "the last checkpoints differ"
  cmp "$1/checkpoints/$last/optimizer.safetensors" "$2/checkpoints/$last/optimizer.safetensors" || fail "the optimizers differ"
  [ "$(losses "$1")" = "$(losses "$2")" ] || { diff <(losses "$1") <(losses "$2") | head >&2; fail "the logged losses differ"; }
}
