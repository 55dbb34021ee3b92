#!/usr/bin/env python3
"""jargon.py JARGON.txt.gz OUT: writes OUT/jargon.train.jsonl and OUT/jargon.eval.jsonl.

JARGON.txt.gz is usr/share/doc/jargon-text/jargon.txt.gz of Debian's jargon-text (the Jargon File 4.4.7, public domain).
One row of raw text per entry of the glossary: the term, its part of speech, and its paragraphs, each on one line.
"""
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path

SHORTEST, LONGEST = 200, 2000
TRAIN_BYTES, EVAL_ROWS = 450_000, 40

HEAD = re.compile(r"^   :(.+?):\s*(.*)$")
# Entries with coarse or insulting words, pictures and cross references alone are left out.
LEFT_OUT = re.compile(r"fuck|shit|\bass\b|asshole|bitch|rape|nazi|nigg|crip|whore|slut|penis|\bcock\b|sex|Crunchly|Figure \d|"
                      r"cartoon", re.IGNORECASE)


def entries(lines):
    """(term, grammar, lines) of each entry between the heading Glossary and the first appendix."""
    current = None
    for line in lines:
        match = HEAD.match(line)
        if match:
            if current:
                yield current
            current = (match[1], match[2], [])
        elif current:
            current[2].append(line)
    if current:
        yield current


def paragraphs(lines):
    """Paragraphs of plain prose, each joined to one line; indented blocks (tables, programs) end the entry."""
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        rows = block.split("\n")
        if any(not row.startswith("   ") or row.startswith("    ") for row in rows if row.strip()):
            return
        yield re.sub(r"\s+", " ", block).strip()


def text_of(term, grammar, lines):
    grammar = re.sub(r"/[^/]*/,?\s*", "", grammar).strip(" ,")
    body = "\n".join(p for p in paragraphs(lines) if p)
    body = re.sub(r"\{([^{}]*)\}", r"\1", body)
    return f"{term}" + (f" ({grammar})" if grammar else "") + f"\n{body}"


def write(path, texts):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for text in texts:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    print(f"{path}: {len(texts)} rows, {sum(map(len, texts))} characters")


def main():
    text = gzip.decompress(Path(sys.argv[1]).read_bytes()).decode("utf-8")
    glossary = text[text.rindex("\nGlossary\n"):text.index("The Meaning of ‘Hack’", text.rindex("\nGlossary\n"))]
    texts = {}
    for term, grammar, lines in entries(glossary.split("\n")):
        entry = text_of(term, grammar, lines)
        if SHORTEST <= len(entry) <= LONGEST and not LEFT_OUT.search(entry) and not re.search(r"[{}|]|http", entry):
            texts.setdefault(term, entry)
    order = sorted(texts, key=lambda term: hashlib.sha256(term.encode()).hexdigest())
    out = Path(sys.argv[2])
    write(out / "jargon.eval.jsonl", [texts[term] for term in order[:EVAL_ROWS]])
    chosen, size = [], 0
    for term in order[EVAL_ROWS:]:
        if size + len(texts[term]) > TRAIN_BYTES:
            break
        chosen.append(texts[term])
        size += len(texts[term])
    write(out / "jargon.train.jsonl", chosen)


if __name__ == "__main__":
    main()
