#!/usr/bin/env bash
# killed_exports.sh GRAFT: merge, convert, export and the adapter tools killed with SIGKILL at random moments leave nothing at
# their target or all of it, and the next run that ends leaves nothing beside it.
source "$(dirname "$0")/flow.sh"
tiny=$TESTS/golden/tiny_llama
adapter=$TESTS/golden/peft/plain
kills=4

# milliseconds COMMAND…: how long it takes
milliseconds() {
  local begin
  begin=$(date +%s%N)
  expect_exit 0 "$@"
  echo $((($(date +%s%N) - begin) / 1000000))
}

# kill_often OUT WORDS…: `graft WORDS --out OUT` (or OUT in place of @) is killed at moments spread over its life
kill_often() {
  local out=$1 words=() word beside=${1%.gguf}.golden.json  # appears before what it belongs to
  shift
  for word in "$@"; do words+=("${word/@/$out}"); done
  local whole=$WORK/whole life
  life=$(milliseconds "$GRAFT" "${words[@]}")
  mv "$out" "$whole"
  for ((i = 0; i < kills; i++)); do
    "$GRAFT" "${words[@]}" > /dev/null 2>&1 &
    local pid=$! delay=$((life * (2 * i + 1) / (2 * kills) + RANDOM % 20))
    sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    kill -KILL $pid 2> /dev/null && killed=$((killed + 1))
    wait $pid 2> /dev/null || true
    if [ -e "$out" ]; then
      diff -r "$whole" "$out" || fail "half of it: ${words[*]}"
      rm -rf "$out"
    fi
  done
  expect_exit 0 "$GRAFT" "${words[@]}"
  diff -r "$whole" "$out" || fail "another result after being killed: ${words[*]}"
  local left
  left=$(find outs -mindepth 1 -maxdepth 1 ! -path "$out" ! -path "$beside")
  [ -z "$left" ] || fail "left beside it: $left"
  rm -rf "$out" "$beside" "$whole"
}

RANDOM=4712
killed=0
mkdir "$WORK/outs"
cd "$WORK"
kill_often outs/hf merge --model "$tiny" --adapter "$adapter" --force --out @
kill_often outs/m.gguf merge --model "$tiny" --adapter "$adapter" --force --format gguf --type q8_0 --out @
kill_often outs/b.gguf convert --model "$tiny" --out @
kill_often outs/folder convert --model "$TESTS/golden/model/tiny.gguf" --out @
kill_often outs/l.gguf export --adapter "$adapter" --model "$tiny" --to gguf-lora --out @
kill_often outs/portable export --adapter "$adapter" --to portable --out @
kill_often outs/cat adapter combine @ "$adapter:0.7" "$adapter:0.3" --method cat
kill_often outs/small adapter resize "$adapter" --r 2 --out @
kill_often outs/cast adapter cast "$adapter" --dtype bf16 --out @
[ $killed -gt 9 ] || fail "only $killed of the runs were still alive when they were killed"
echo "killed $killed runs of 9 commands, all whole or absent"
