#!/usr/bin/env bash
# quickstart.sh: from a bare machine to a trained adapter. Brings the dependencies, builds graft, fetches a small base
# (SmolLM2-135M-Instruct), makes it a cooking assistant (recipes/cooking.yaml) and shows two answers before and after.
# Run again after an interruption, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh
scripts/fetch_base.sh
scripts/build.sh graft

base=.deps/base/SmolLM2-135M-Instruct.Q4_1.gguf
questions=("How do I make garlic butter?" "I have eggs and a little cheese. What can I cook?")

answers() {  # answers TITLE [--adapter FOLDER]
  printf '\n== %s\n' "$1"
  local question
  for question in "${questions[@]}"; do
    printf '\n> %s\n' "$question"
    build/graft generate --model "$base" "${@:2}" --prompt "$question" --max-new-tokens 160 --temperature 0
  done
}

answers "The base, before"
printf '\n== Training\n\n'
build/graft train recipes/cooking.yaml --resume
answers "The same questions, after" --adapter runs/cooking/adapter
printf '\nTalk to it:\n  build/graft chat --model %s --adapter runs/cooking/adapter\n' "$base"
