#!/usr/bin/env bash
# fuzz.sh [seconds] [name…]: builds the fuzzers with clang, address and undefined-behaviour sanitizers into build-fuzz/
# and runs each for so many seconds (default 20), one on each core. What they find is left in build-fuzz/found/. Needs no
# libtorch. ctest runs it as `fuzz` (leave it out: ctest -LE fuzz).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-20}"
shift || true

names=("$@")
if [ ${#names[@]} = 0 ]; then
  for source in tests/fuzz/fuzz_*.cpp; do
    name="$(basename "$source" .cpp)"
    names+=("${name#fuzz_}")
  done
fi

build() {
  mkdir -p build-fuzz
  cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DGRAFT_ENGINE=OFF -DGRAFT_TESTS=OFF -DGRAFT_FUZZ=ON \
    -DGRAFT_SANITIZE=address,undefined > build-fuzz/configure.log 2>&1 || { cat build-fuzz/configure.log >&2; return 1; }
  ninja -C build-fuzz "${names[@]/#/fuzz_}" > build-fuzz/build.log || { tail -n 40 build-fuzz/build.log >&2; return 1; }
}

# run SECONDS NAME. A second and 512 MB are far more than any of these parsers may need for 64 kB; ten, because a busy
# machine may stand still for a while.
run() {
  local dictionary=()
  mkdir -p "build-fuzz/corpus/$2" build-fuzz/found
  [ ! -f "tests/fuzz/$2.dict" ] || dictionary=(-dict="tests/fuzz/$2.dict")
  if ! "build-fuzz/tests/fuzz/fuzz_$2" -max_total_time="$1" -max_len=65536 -timeout=10 -rss_limit_mb=512 \
    -print_final_stats=1 -artifact_prefix="build-fuzz/found/$2-" "${dictionary[@]}" \
    "build-fuzz/corpus/$2" "tests/fuzz/seeds/$2" > "build-fuzz/$2.log" 2>&1; then
    tail -n 60 "build-fuzz/$2.log" >&2
    return 1
  fi
  echo "$2: $(sed -n 's/.*number_of_executed_units: *//p' "build-fuzz/$2.log") inputs in $1 s"
}
export -f run

build
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c "run $seconds {}"
