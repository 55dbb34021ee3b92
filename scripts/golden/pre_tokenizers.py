#!/usr/bin/env python3
"""Golden file of the words that a GGUF's tokenizer.ggml.pre stands for: tests/golden/text/pre_tokenizers.json.

usage: pre_tokenizers.py [OUT=tests/golden/text]

The pre_tokenizer of each name is written as the models' tokenizer.json has it (llama.cpp's comments quote the expressions),
and Hugging Face's tokenizers cuts the corpus of text.py. A text's words are the ends of their byte ranges.
"""
import importlib.util
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # this file's siblings hide packages

from tokenizers import Regex, pre_tokenizers

spec = importlib.util.spec_from_file_location("text_goldens", os.path.join(HERE, "text.py"))
text_goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(text_goldens)

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT2 = "GPT-2"
# As DeepSeek's tokenizer.json spells it, range by range.
CASED = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffcℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿ\ufb00-\ufb06\ufb13-\ufb17Ａ-Ｚａ-ｚ"
    "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + ENDS
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + ENDS)
KINDS = {
    "llama-bpe": [text_goldens.LLAMA3],
    "qwen2": [QWEN2],
    "qwen35": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|" + ENDS],
    "seed-coder": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|" + ENDS],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "exaone-moe": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "deepseek-llm": ["[\r\n]", r"\s?[" + CASED + "]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", r"\p{N}+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
    "gpt-2": [GPT2],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)", "[0-9][0-9][0-9]"],
    "tekken": [rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|" + ENDS],
    "gpt-4o": [rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?"
               r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + ENDS],
    "bloom": [" ?[^(\\s|[.,!?…。，、।۔،])]+"],
    "viking": [" ?[^(\\s|[.,!?…。，、।۔،])]+", r"\p{N}"],
}
CORPUS = text_goldens.CORPUS + [
    "１２３456 ７８", "12345678", "ქართული ᲥᲐᲠᲗᲣᲚᲘ Ⴀⴀ", "ɐꞏꟷ ﬓ Ꭰꭰ 𐐀𐑏 𝔸𝕒", "你好world你好，世界！ひらがなカタカナ가나다 힣ퟻ",
    "a'S b'lL c'", "HelloWORLDhello HTTPServer iPhone's", "x/y//z\n/", "word word  word\u00A0word", "(a) [b] «c» …d ، e", "a\u0301b \u0301c 1\u0301",
]


def words(step, text):
    """Ends of the words in bytes; the words tile the text."""
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [at[end] for _, (_, end) in step.pre_tokenize_str(text)] if text else []


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/text"
    kinds = {}
    for name, splits in KINDS.items():
        steps = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True) if p == GPT2 else pre_tokenizers.Split(Regex(p), "isolated")
                 for p in splits]
        kinds[name] = [words(pre_tokenizers.Sequence(steps), text) for text in CORPUS]
    path = os.path.join(out, "pre_tokenizers.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"texts": CORPUS, "kinds": kinds}, f, ensure_ascii=False, separators=(",", ":"))
    print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
