#!/usr/bin/env bash
# life_of_an_adapter.sh GRAFT: train, score, continue, merge, convert and generate on the tiny model, each step through the
# program and each result compared with the one before.
source "$(dirname "$0")/flow.sh"
tiny=$TESTS/golden/tiny_llama
recipe=$TESTS/flows/tiny.yaml
rows=$TESTS/flows/chat.jsonl
loss_of() { tail -n 1 "$1" | sed 's/.*"loss":\([^,}]*\).*/\1/'; }
close() { awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(d <= t && d >= -t) }'; }

expect_exit 0 "$GRAFT" validate "$recipe"
expect_exit 0 "$GRAFT" data preview "$recipe" --rows 2 --json
[ "$(wc -l < "$WORK/out")" = 2 ] || fail "data preview --rows 2 --json printed $(wc -l < "$WORK/out") lines"
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/run" --dry-run
[ ! -e "$WORK/run" ] || fail "--dry-run wrote something"
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/run"
for file in adapter/adapter_config.json adapter/adapter_model.safetensors adapter/tokenizer.json recipe.resolved.yaml run.json \
            metrics.jsonl train.log; do
  [ -s "$WORK/run/$file" ] || fail "the run left no $file"
done
expect_exit 0 "$GRAFT" show "$WORK/run/recipe.resolved.yaml"

# Another template than the model's own stands beside the adapter that learned it; a date is kept.
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/named" data.chat_template=llama3 data.template_date=2026-03-09 train.epochs=1
grep -q start_header_id "$WORK/named/adapter/chat_template.jinja" || fail "the template of the training is not beside its adapter"
grep -q '"chat_template":.*start_header_id' "$WORK/named/adapter/tokenizer_config.json" || fail "tokenizer_config.json has another template"
grep -q 'template_date: "2026-03-09"' "$WORK/named/recipe.resolved.yaml" || fail "the resolved recipe has another date"
grep -q "template_date: \"$(date +%Y)" "$WORK/run/recipe.resolved.yaml" || fail "today is not in the resolved recipe"

# Training helps, and score agrees with what training logged.
expect_exit 0 "$GRAFT" score --model "$tiny" "$rows" --json
before=$(loss_of "$WORK/out")
expect_exit 0 "$GRAFT" score --model "$tiny" --adapter "$WORK/run/adapter" "$rows" --json
after=$(loss_of "$WORK/out")
awk -v a="$after" -v b="$before" 'BEGIN { exit !(a < 0.9 * b) }' || fail "loss $before -> $after: training did not help"

# Going on from an adapter starts where it ended.
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/more" lora.from="$WORK/run/adapter" train.epochs=1
first=$(grep -m 1 eval_loss "$WORK/more/metrics.jsonl" | sed 's/.*"eval_loss":\([^,}]*\).*/\1/')
best=$(sed -n 's/.*"eval_loss_after": *\([^,]*\),*/\1/p' "$WORK/run/run.json")
close "$first" "$best" 1e-6 || fail "continued at eval loss $first, the adapter had $best"

# The merged model says what base and adapter say.
expect_exit 0 "$GRAFT" merge --model "$tiny" --adapter "$WORK/run/adapter" --out "$WORK/merged" --type f32
expect_exit 0 "$GRAFT" score --model "$WORK/merged" "$rows" --json --dtype fp32
merged=$(loss_of "$WORK/out")
expect_exit 0 "$GRAFT" score --model "$tiny" --adapter "$WORK/run/adapter" "$rows" --json --dtype fp32
adapted=$(loss_of "$WORK/out")
close "$merged" "$adapted" 1e-5 || fail "merged model has loss $merged, base with adapter $adapted"
expect_exit 2 "$GRAFT" merge --model "$tiny" --adapter "$WORK/run/adapter" --out "$WORK/merged"

# So does the merged GGUF, tokens included, and the base in 8 bits nearly says what the base says.
expect_exit 0 "$GRAFT" merge --model "$tiny" --adapter "$WORK/run/adapter" --format gguf --type f32 --out "$WORK/merged.gguf" --modelfile
grep -q '^FROM ./merged.gguf$' "$WORK/merged.Modelfile" || fail "no Modelfile beside the merged GGUF"
expect_exit 0 "$GRAFT" score --model "$WORK/merged.gguf" "$rows" --json --dtype fp32
merged_gguf=$(loss_of "$WORK/out")
close "$merged_gguf" "$adapted" 1e-5 || fail "merged GGUF has loss $merged_gguf, base with adapter $adapted"
expect_exit 0 "$GRAFT" convert --model "$tiny" --out "$WORK/base.gguf" --type q8_0
expect_exit 0 "$GRAFT" merge --model "$WORK/base.gguf" --adapter "$WORK/run/adapter" --format gguf --out "$WORK/merged_q8.gguf"

# A training on a base in 4 bits is merged into the weights that it saw, or into the ones in the files; the result says which.
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/nf4" model.quantization=nf4 model.dtype=fp32
seen=$(sed -n 's/.*"eval_loss_after": *\([^,]*\),*/\1/p' "$WORK/nf4/run.json")
expect_exit 0 "$GRAFT" adapter inspect "$WORK/nf4/adapter"
grep -q '^base .*, quantised to nf4' "$WORK/out" || fail "inspect does not say what the base was quantised to"
expect_exit 0 "$GRAFT" merge --model "$tiny" --adapter "$WORK/nf4/adapter" --out "$WORK/merged_files" --type f32
grep -q 'quantization nf4' "$WORK/err" || fail "nobody said that the adapter saw other weights"
grep -q -a '"graft.merge.base_weights":"bf16"' "$WORK/merged_files/model.safetensors" || fail "the merge does not say what it was made of"
expect_exit 0 "$GRAFT" merge --model "$tiny" --adapter "$WORK/nf4/adapter" --out "$WORK/merged_nf4" --type f32 --quantization nf4 --json
grep -q '"base_weights":"nf4"' "$WORK/out" || fail "the report does not say what the adapter was merged into"
grep -q -a '"graft.merge.base_weights":"nf4"' "$WORK/merged_nf4/model.safetensors" || fail "the merge does not say that its base was quantised"
# Evaluated by the same program: a run of no steps that matter over the same rows.
expect_exit 0 "$GRAFT" train "$recipe" output_dir="$WORK/check" model.path="$WORK/merged_nf4" model.dtype=fp32 train.epochs=1
again=$(sed -n 's/.*"eval_loss_before": *\([^,]*\),*/\1/p' "$WORK/check/run.json")
close "$again" "$seen" 1e-4 || fail "merged into nf4 weights the loss is $again, training ended at $seen"

# Beside a GGUF LoRA, Ollama's file over the base.
expect_exit 0 "$GRAFT" export --model "$WORK/base.gguf" --adapter "$WORK/run/adapter" --to gguf-lora --out "$WORK/lora.gguf" --modelfile
head -n 2 "$WORK/lora.Modelfile" | tr '\n' ' ' | grep -q '^FROM ./base.gguf ADAPTER ./lora.gguf $' || fail "no Modelfile beside the GGUF LoRA"

# Answers: the same seed gives the same one; greedy needs none.
expect_exit 0 "$GRAFT" generate --model "$tiny" --adapter "$WORK/run/adapter" --prompt "How do I make pancakes?" --seed 3 --max-new-tokens 20
cp "$WORK/out" "$WORK/first"
expect_exit 0 "$GRAFT" generate --model "$tiny" --adapter "$WORK/run/adapter" --prompt "How do I make pancakes?" --seed 3 --max-new-tokens 20
cmp "$WORK/first" "$WORK/out" || fail "the same seed gave another answer"
echo "loss $before -> $after, merged $merged"
