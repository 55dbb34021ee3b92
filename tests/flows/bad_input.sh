#!/usr/bin/env bash
# bad_input.sh GRAFT: whatever is wrong with what a user gives is one error line with its place, a hint and the right exit
# code, and nothing is written.
source "$(dirname "$0")/flow.sh"
tiny=$TESTS/golden/tiny_llama
rows=$TESTS/flows/chat.jsonl

# recipe NAME LINE…: writes $WORK/NAME.yaml of a good recipe with lines replaced or added (KEY: …)
good() {
  cat <<EOF
version: 1
output_dir: $WORK/run
model: {path: ${1:-$tiny}}
lora: ${3:-"{r: 4}"}
data: {train: [{path: ${2:-$rows}}]}
train: {max_steps: 1}
EOF
}

# expect_error CODE PATTERN RECIPE_FILE [ARGUMENT…]: exit code, exactly one error line that matches, a hint, nothing written
expect_error() {
  local code=$1 pattern=$2 recipe=$3
  shift 3
  expect_exit "$code" "$GRAFT" train "$recipe" "$@"
  [ "$(grep -c '^error: ' "$WORK/err")" = 1 ] || { cat "$WORK/err" >&2; fail "not exactly one error line: $recipe"; }
  grep -qE "^error: .*$pattern" "$WORK/err" || { cat "$WORK/err" >&2; fail "no error like /$pattern/"; }
  [ ! -s "$WORK/out" ] || { cat "$WORK/out" >&2; fail "something on stdout"; }
  [ ! -e "$WORK/run" ] || fail "output_dir was created: $pattern"
  checked=$((checked + 1))
}
expect_hint() { grep -qE "^hint: .*$1" "$WORK/err" || { cat "$WORK/err" >&2; fail "no hint like /$1/"; }; }
checked=0

# The base.
good "$WORK/nowhere" > "$WORK/r.yaml"
expect_error 3 "nowhere" "$WORK/r.yaml"
cp -r "$tiny" "$WORK/base"
truncate -s 100000 "$WORK/base/model.safetensors"
good "$WORK/base" > "$WORK/r.yaml"
expect_error 3 "model.safetensors" "$WORK/r.yaml"
base=${GRAFT_DEPS:-$TESTS/../.deps}/base/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -f "$base" ]; then
  head -c 5000000 "$base" > "$WORK/cut.gguf"
  good "$WORK/cut.gguf" > "$WORK/r.yaml"
  expect_error 3 "cut.gguf" "$WORK/r.yaml"
fi
echo '{"architectures": ["MambaForCausalLM"], "model_type": "mamba"}' > "$WORK/base/config.json"
good "$WORK/base" > "$WORK/r.yaml"
expect_error 3 "MambaForCausalLM" "$WORK/r.yaml"

# The recipe.
expect_error 3 "missing.yaml" "$WORK/missing.yaml"
good | sed 's/max_steps/max_stps/' > "$WORK/r.yaml"
expect_error 2 "r.yaml:6:[0-9]+.*max_stps" "$WORK/r.yaml"
expect_hint "max_steps"
good | sed 's/^train:.*/train:\n\tmax_steps: 1/' > "$WORK/r.yaml"
expect_error 2 "r.yaml:7:1.*tab" "$WORK/r.yaml"
(good; echo 'seed: 1'; echo 'seed: 2') > "$WORK/r.yaml"
expect_error 2 "r.yaml:8:1.*seed" "$WORK/r.yaml"
good "" "" '{r: sixteen}' | sed "s|path: }|path: $tiny}|" > "$WORK/r.yaml"
expect_error 2 "r.yaml:4:[0-9]+.*lora.r" "$WORK/r.yaml"
good "" "" '{lora_rank: 8}' > "$WORK/r.yaml"
expect_error 2 "r.yaml:4:[0-9]+.*lora_rank" "$WORK/r.yaml"
expect_hint "lora.r"
good "" "" '{r: 4, init: eva}' > "$WORK/r.yaml"
expect_error 2 "r.yaml:4:[0-9]+.*lora.init: not yet" "$WORK/r.yaml"
good > "$WORK/r.yaml"
expect_error 2 "optim.learning_rat" "$WORK/r.yaml" optim.learning_rat=1e-4
expect_hint "learning_rate"
good "" "" '{r: 4, target_modules: [q_prj]}' > "$WORK/r.yaml"
expect_error 2 "q_prj" "$WORK/r.yaml"
grep -q "q_proj" "$WORK/err" || fail "the real module names are not listed"

# The data.
head -n 16 "$rows" > "$WORK/broken.jsonl"
echo '{"messages": [{"role": "user", "content": "half a' >> "$WORK/broken.jsonl"
tail -n 20 "$rows" >> "$WORK/broken.jsonl"
good "" "$WORK/broken.jsonl" > "$WORK/r.yaml"
expect_error 3 "broken.jsonl:17" "$WORK/r.yaml"
: > "$WORK/empty.jsonl"
good "" "$WORK/empty.jsonl" > "$WORK/r.yaml"
expect_error 3 "empty.jsonl" "$WORK/r.yaml"
echo '{"input_ids": [1, 2, 3], "labels": [-100, -100, -100]}' > "$WORK/masked.jsonl"
good "" "$WORK/masked.jsonl" > "$WORK/r.yaml"
expect_error 3 "" "$WORK/r.yaml"
grep -q "masked.jsonl" "$WORK/err" || fail "the masked file is not named"
echo '{"input_ids": [1, 2, 99999], "labels": [1, 2, 99999]}' > "$WORK/outside.jsonl"
good "" "$WORK/outside.jsonl" > "$WORK/r.yaml"
expect_error 3 "outside.jsonl:1.*99999" "$WORK/r.yaml"
good "" "$WORK/nodata.jsonl" > "$WORK/r.yaml"
expect_error 3 "nodata.jsonl" "$WORK/r.yaml"

# The adapter to go on from.
mkdir "$WORK/adapter" && echo pickle > "$WORK/adapter/adapter_model.bin"
good "" "" "{from: $WORK/adapter}" > "$WORK/r.yaml"
expect_error 3 "adapter" "$WORK/r.yaml"

# The output folder holds a run, or somebody's files.
mkdir "$WORK/old" && touch "$WORK/old/metrics.jsonl"
good > "$WORK/r.yaml"
expect_error 2 "already holds a run" "$WORK/r.yaml" output_dir="$WORK/old"
expect_hint "--resume"
[ "$(ls -A "$WORK/old")" = metrics.jsonl ] || fail "the old run was touched"
mkdir "$WORK/mine" && touch "$WORK/mine/thesis.tex"
expect_error 2 "thesis.tex" "$WORK/r.yaml" output_dir="$WORK/mine" --overwrite
[ -f "$WORK/mine/thesis.tex" ] || fail "somebody's file was removed"

# The command line.
for words in "trian" "train" "train $WORK/r.yaml --resum" "train $WORK/r.yaml --resume --overwrite"; do
  # shellcheck disable=SC2086
  expect_exit 2 "$GRAFT" $words
  [ "$(grep -c '^error: ' "$WORK/err")" = 1 ] || { cat "$WORK/err" >&2; fail "not one error line: $words"; }
  checked=$((checked + 1))
done
echo "$checked kinds of bad input, each one line and the right exit code"
