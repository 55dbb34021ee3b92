#!/usr/bin/env python3
"""sentencepiece_models.py OUT: what the sentencepiece library makes of random texts with small random models.

OUT  tests/golden/text/sentencepiece_models.json: a list of {"model" (base64 of a tokenizer.model), "cases": [{"text", "ids", "offsets"}]}

The models are of all kinds of pieces: normal, user-defined, unused and bytes, with scores that are often equal; BPE and unigram; with and
without a prefix, byte fallback and the removal of spaces. Bytes of a character have its range, not the last of them alone.
"""
import base64, json, os, random, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "bench"))
from real_tokenizers import Sentencepiece, message

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE = 1, 2
ALPHABET = "aaabbc\u2581\u2581\u4f60\u00e9"


def piece(text, score, kind=NORMAL):
    return message((1, message((1, text.encode()), (2, score), (3, kind))))


def model_of(random, kind):
    pieces = [piece("<unk>", 0.0, UNKNOWN), piece("<s>", 0.0, CONTROL), piece("</s>", 0.0, CONTROL)]
    fallback = random.random() < 0.25
    if fallback:
        pieces += [piece(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    words = {c for c in ALPHABET if random.random() < 0.9}
    while len(words) < 40:
        words.add("".join(random.choice(ALPHABET) for _ in range(random.randint(2, 5))))
    for word in sorted(words):
        kind_of_word = random.choices([NORMAL, UNUSED, USER], [12, 2, 1])[0]
        pieces.append(piece(word, -float(random.randint(1, 12)) / 4, kind_of_word if len(word) > 1 else NORMAL))
    normalizer = message((3, random.random() < 0.5), (4, random.random() < 0.3), (5, True))
    return b"".join(pieces) + message((2, message((3, kind), (35, fallback))), (3, normalizer))


def text_of(random):
    return "".join(random.choice("aaabbc  \u4f60\u00e9x\u2581\U0001f600") for _ in range(random.randint(1, 30)))


generator, models = random.Random(12), []
for i in range(24):
    model = model_of(generator, UNIGRAM if i % 2 else BPE)
    library, cases = Sentencepiece(model), []
    for _ in range(12):
        text = text_of(generator)
        ids, offsets = library.result(text, library.run(text))
        cases.append({"text": text, "ids": ids, "offsets": [n for span in offsets for n in span]})
    models.append({"model": base64.b64encode(model).decode(), "cases": cases})
with open(sys.argv[1], "w", encoding="utf-8") as f:
    f.write("[" + ",\n".join(json.dumps(m, ensure_ascii=False, separators=(",", ":")) for m in models) + "]\n")
