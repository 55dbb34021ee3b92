#!/usr/bin/env bash
# fuzz.sh [seconds] [name…]: builds the fuzzers with clang, address and undefined-behaviour sanitizers into build-fuzz/
# and runs each for so many seconds (default 15). What they find is left in build-fuzz/found/. Needs no libtorch.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-15}"
shift || true

cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DGRAFT_ENGINE=OFF -DGRAFT_TESTS=OFF -DGRAFT_FUZZ=ON \
  -DGRAFT_SANITIZE=address,undefined > build-fuzz.log 2>&1 || { cat build-fuzz.log >&2; exit 1; }
mv build-fuzz.log build-fuzz/configure.log
names=("$@")
if [ ${#names[@]} = 0 ]; then
  for source in tests/fuzz/fuzz_*.cpp; do
    name="$(basename "$source" .cpp)"
    names+=("${name#fuzz_}")
  done
fi
ninja -C build-fuzz "${names[@]/#/fuzz_}"

mkdir -p build-fuzz/found
for name in "${names[@]}"; do
  mkdir -p "build-fuzz/corpus/$name"
  dictionary=()
  [ ! -f "tests/fuzz/$name.dict" ] || dictionary=(-dict="tests/fuzz/$name.dict")
  echo "fuzzing $name for $seconds seconds"
  # A second and 512 MB are far more than any of these parsers may need for 64 kB.
  if ! "build-fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -timeout=2 -rss_limit_mb=512 \
    -print_final_stats=1 -artifact_prefix="build-fuzz/found/$name-" "${dictionary[@]}" \
    "build-fuzz/corpus/$name" "tests/fuzz/seeds/$name" > "build-fuzz/$name.log" 2>&1; then
    tail -n 60 "build-fuzz/$name.log" >&2
    exit 1
  fi
  grep -E 'number_of_executed_units|peak_rss_mb' "build-fuzz/$name.log"
done
