#!/usr/bin/env python3
"""persona.py DEVIL.dict.dz OUT: writes OUT/persona.train.jsonl and OUT/persona.eval.jsonl.

DEVIL.dict.dz is usr/share/dictd/devil.dict.dz of Debian's dict-devil (The Devil's Dictionary, Ambrose Bierce, public
domain; dictzip is gzip). One row per entry: a question about a word and Bierce's definition without its verse.
"""
import gzip
import hashlib
import json
import re
import sys
from pathlib import Path

SHORTEST, LONGEST = 30, 600
EVAL_ROWS = 40

ENTRY = re.compile(r"^([A-Z][A-Z' -]+?)(?:,|\.)\s+(?:(n\. ?pl|n|adj|adv|v\.[ti]|v|pp|p\.p|x|interj)\.\s+)?(.*)$", re.DOTALL)
NOUN = ["What is {t}?", "Define {t}.", "Tell me what {t} is.", "What do you understand by {t}?",
        "How would you define {t}?", "In your words, what is {t}?"]
VERB = ["What does it mean to {t}?", "Define the verb \"{t}\".", "What do people do when they {t}?"]
OTHER = ["What does \"{t}\" mean?", "Define \"{t}\".", "How would you use the word \"{t}\"?"]
# Entries that mock peoples, races or faiths by name are left out.
LEFT_OUT = re.compile(r"negro|nigg|jew|hebrew|chinam|chinese|squaw|savage|mongol|african|ethiop|caucas|indian|mulatto|"
                      r"turk|mormon|mahomet|moham|koran|moslem|heathen|irish|kaffir|white man|black man|woman|women|female|"
                      r"girl|slave|infidel|idiot|cripple|lynch|\brace\b", re.IGNORECASE)


def draw(word, count):
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big") % count


def paragraphs(text):
    """The entry's prose: its paragraphs that are not indented (verse and dialogue are)."""
    for block in re.split(r"\n\s*\n", text):
        if block.startswith((" ", "\t")):
            continue
        yield re.sub(r"\s+", " ", block).strip()


def entries(text):
    """(word, part of speech, definition) of each entry of the dictionary."""
    current = None
    for block in re.split(r"\n\s*\n", text):
        match = ENTRY.match(block)
        if match and not block.startswith(" "):
            if current:
                yield current
            current = [match[1], match[2] or "", match[3]]
        elif current:
            current[2] += "\n\n" + block
    if current:
        yield current


def definition(text):
    """As many whole paragraphs of prose as fit, cut at a sentence."""
    answer = ""
    for paragraph in paragraphs(text):
        paragraph = re.sub(r"_([^_]+)_", r"\1", paragraph).replace(" -- ", " — ").replace(" [sic]", "")
        if len(answer) + len(paragraph) + 1 > LONGEST:
            break
        answer = f"{answer} {paragraph}".strip()
    return answer


def with_article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def question_of(word, kind):
    name = word.lower()
    if kind.startswith("v"):
        return VERB[draw(word, len(VERB))].format(t=name)
    if kind.startswith("n"):
        countless = name.endswith(("ness", "ity", "ion", "ism", "ence", "ance", "ment", "ship", "hood", "y", "s"))
        return NOUN[draw(word, len(NOUN))].format(t=name if countless else with_article(name))
    return OTHER[draw(word, len(OTHER))].format(t=name)


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for question, answer in rows:
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    print(f"{path}: {len(rows)} rows")


def main():
    text = gzip.decompress(Path(sys.argv[1]).read_bytes()).decode("utf-8", errors="strict")
    rows = {}
    for word, kind, body in entries(text[text.index("ABASEMENT, n."):]):
        answer = definition(body)
        good = SHORTEST <= len(answer) <= LONGEST and answer[-1] in ".!?\"'" and answer[0].isupper()
        if good and not LEFT_OUT.search(word + " " + answer):
            rows.setdefault(word, (question_of(word, kind), answer))
    ordered = [rows[word] for word in sorted(rows, key=lambda word: hashlib.sha256(word.encode()).hexdigest())]
    out = Path(sys.argv[2])
    write(out / "persona.eval.jsonl", ordered[:EVAL_ROWS])
    write(out / "persona.train.jsonl", ordered[EVAL_ROWS:])


if __name__ == "__main__":
    main()
