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

# stop_often OUT WORDS…: `graft WORDS --out OUT` stopped by SIGTERM either ended before, or exits 75 and leaves nothing at all
stop_often() {
  local out=$1 life code
  shift
  life=$(milliseconds "$GRAFT" "$@" --out "$out")
  rm -rf outs/*
  for ((i = 0; i < kills; i++)); do
    "$GRAFT" "$@" --out "$out" > /dev/null 2> err &
    local pid=$! delay=$((life * (2 * i + 3) / (2 * kills + 4)))
    sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    kill -TERM $pid 2> /dev/null || true
    code=0
    wait $pid || code=$?
    case $code in
      0) ;;
      75 | 143)  # 143: before it began
        stopped=$((stopped + 1))
        [ -z "$(ls -A outs)" ] || fail "left after SIGTERM: $(ls -A outs)" ;;
      *) cat err >&2; fail "exit $code after SIGTERM: $*" ;;
    esac
    rm -rf outs/*
  done
}

RANDOM=4712
stopped=0
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
stop_often outs/hf merge --model "$tiny" --adapter "$adapter" --force
stop_often outs/m.gguf merge --model "$tiny" --adapter "$adapter" --force --format gguf --type q4_k
stop_often outs/b.gguf convert --model "$tiny" --type q4_k
[ $stopped -gt 2 ] || fail "only $stopped of the runs were still alive when they were stopped"
# What has nothing to clear up just ends.
for ((i = 0; i < 400; i++)); do cat "$TESTS/flows/chat.jsonl"; done > rows.jsonl
"$GRAFT" score --model "$tiny" rows.jsonl > /dev/null 2>&1 &
pid=$!
sleep 1
kill -TERM $pid
code=0
wait $pid || code=$?
[ $code = 143 ] || fail "score: exit $code after SIGTERM, want 143"

[ $killed -gt 9 ] || fail "only $killed of the runs were still alive when they were killed"
echo "killed $killed runs of 9 commands, all whole or absent; stopped $stopped, which left nothing"
