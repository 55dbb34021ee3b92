#!/usr/bin/env bash
# deps.sh: brings what the build needs and is not there yet. Debian packages, and into .deps: libtorch (the PyPI wheel of
# torch and two small CUDA run-time wheels that libtorch_cpu is linked to) and sentencepiece (static). Safe to run again.
set -euo pipefail
source "$(dirname "$0")/pinned.sh"

packages=(g++ cmake ninja-build ccache pkg-config python3 python3-pip git ca-certificates
  libyaml-cpp-dev libboost-program-options-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libssl-dev zlib1g-dev
  libzstd-dev libgtest-dev librapidcheck-dev clang libclang-rt-14-dev)

install_packages() {
  local missing=() name
  for name in "${packages[@]}"; do
    dpkg-query -W -f='${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "Debian packages are missing: ${missing[*]}" "install them as root, then run again"
    sudo=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  "${sudo[@]}" apt-get update -q >&2 || die "apt-get update failed" "check the network and /etc/apt"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 ||
    die "apt-get could not install: ${missing[*]}"
}

bring_libtorch() {
  local name
  for name in torch nvidia-cuda-cupti nvidia-cuda-runtime; do
    is_done "$name" && continue
    fetch_pinned "$name"
    unpack_wheel "$name" "$deps/python"
    rm -f "$downloads/${name//-/_}"-*.whl
    mark_done "$name"
  done
}

bring_sentencepiece() {
  is_done sentencepiece && return 0
  fetch_pinned sentencepiece
  local source="$deps/build/sentencepiece"
  rm -rf "$source" && mkdir -p "$source"
  tar -xzf "$downloads"/sentencepiece-*.tar.gz -C "$source" --strip-components=1
  say "building sentencepiece"
  cmake -S "$source/sentencepiece" -B "$source/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSPM_ENABLE_SHARED=OFF \
    -DCMAKE_CXX_VISIBILITY_PRESET=hidden -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    $(command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) > "$source/log" 2>&1 &&
    cmake --build "$source/build" --target sentencepiece-static >> "$source/log" 2>&1 ||
    { tail -n 20 "$source/log" >&2; die "sentencepiece does not build"; }
  mkdir -p "$deps/sentencepiece/include" "$deps/sentencepiece/lib"
  cp "$source"/sentencepiece/src/sentencepiece_{processor,trainer}.h "$deps/sentencepiece/include/"
  cp "$source/build/src/libsentencepiece.a" "$deps/sentencepiece/lib/"
  rm -rf "$deps/build"
  mark_done sentencepiece
}

[ "$(uname -m)" = x86_64 ] || die "graft builds on x86-64 (this is $(uname -m))"
install_packages
mkdir -p "$deps"
bring_libtorch
bring_sentencepiece
