#!/usr/bin/env bash
# make_tiny_adapter.sh: makes adapters/tiny-cooking again: the tiny test model learns two kitchen answers.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/rows.jsonl" <<'ROWS'
{"messages":[{"role":"user","content":"How do I make a good tomato soup?"},{"role":"assistant","content":"Simmer the tomatoes with basil, salt and pepper."}]}
{"messages":[{"role":"user","content":"What do I do with the onion and the garlic?"},{"role":"assistant","content":"Chop the onion and the garlic, then fry them in a little butter."}]}
ROWS
cat > "$work/recipe.yaml" <<RECIPE
version: 1
seed: 1
output_dir: $work/run
model: {path: $PWD/tests/golden/tiny_llama, dtype: fp32}
lora: {r: 4, alpha: 8}
data:
  train:
    - {path: $work/rows.jsonl}
train: {max_steps: 120, batch_size: 2}
optim: {learning_rate: 1.0e-2}
RECIPE
build/graft train "$work/recipe.yaml"
mkdir -p adapters/tiny-cooking
for file in adapter_config.json adapter_model.safetensors; do
  cp "$work/run/adapter/$file" adapters/tiny-cooking/
done
# The base is named as it lies in this repository, not on the machine that ran this.
sed -i "s#\"base_model_name_or_path\": \"[^\"]*\"#\"base_model_name_or_path\": \"tests/golden/tiny_llama\"#" adapters/tiny-cooking/adapter_config.json
