#!/usr/bin/env python3
"""Golden files of the text room, made by tokenizers and transformers.

usage: text.py SMOLLM2_FOLDER [OUT=tests/golden/text]

SMOLLM2_FOLDER is SmolLM2-135M-Instruct as a Hugging Face folder whose tokenizer.json has the published pre-tokenizer
(Digits one by one, then ByteLevel); transformers' own GGUF loading loses it.
"""
import copy
import hashlib
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

CORPUS = [
    "", " ", "  ", "\n", "\t", "a", "Hello world", " Hello world", "Hello world ", "  two  spaces  ",
    "The quick brown fox jumps over the lazy dog.", "It's we'll they'd I'm you've don't CAN'T IT'S we'LL",
    "a  1 b\n  22  c   3", "12345 1,234,567.89 0x1F 3.14e-10 v2.0", "x=1;y=22;z=333;w=4444",
    "family \U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466 end", "\U0001F1EB\U0001F1F7\U0001F44D\U0001F3FD",
    "\U0001F600\U0001F601 \U0001F602", "non\u00A0breaking\u00A0 space", "narrow\u202Fspace em\u2003space ideographic\u3000space",
    "line one\r\nline two\r\n\r\nline four\r", "\n\n\n\n", " \n \n", "tabs\t\tand\tspaces  \t mixed", "\u2028\u2029\u0085",
    "你好，世界！今天天气怎么样？", "中文 mixed with English 和 日本語カタカナひらがな 한국어", "\u1112\u1161\u11AB\u1100\u1173\u11AF jamo",
    "٠١٢٣٤٥٦٧٨٩ أرقام عربية", "१२३ हिन्दी क़ख़ग़", "Ⅷ ½ ² ③ ㊿", "e\u0301 a\u0300\u0316 o\u0316\u0300 u\u0308\u0304 é à",
    "\u0301leading mark", "\u1E9B\u0323 \u0344 \u0340\u0341 \u212B \u2126 \u1FEE", "\u0958\u0959 \u09C7\u09BE \u0B47\u0B56",
    "ភាសាខ្មែរ ស្រួល", "ไทยไม่มีช่องว่าง", "മലയാളം തമിழ்", "שלום \u200Fעולם\u200E", "mongolian\u180Evowel \u180E separator",
    "zero\u200Bwidth\u200Dand\uFEFFbom", "\uFEFFbom first", "ａｂｃ full ｗｉｄｔｈ", "ﬁ ﬂ ﬆ ŉ ß ſ 'ſ 'S",
    "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "text<|endoftext|>text", " <|im_end|> ", "<|im_end|><|im_end|>",
    "<|im_start|", "<|im_end|>é<|im_start|>你", "<|im_<|im_end|>end|>", "<|eot_id|><|im_end|>", "</s><s>[INST]",
    "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n\tpass\n", "for (int i = 0; i < n; ++i) { a[i] += b[i]->c; }",
    "if(a&&b||!c){return\"x\";}", "https://example.org/a?b=c&d=%20#frag user@example.org", "$100 €50 £20 ¥10 ₿1",
    "\"quotes\" 'single' “curly” ‘curly’ «guillemets»", "...!!!???---___***", "a" * 70, " " * 33 + "x", "\n" * 20 + "x",
    "= " * 30, "x" * 5 + " " * 17 + "y", "\U0001D54F\U0001D550 \U0010FFFD \uE000 \uFFFD", "\u0000nul\u0001 \u007F del",
    "\x04!! a\x06b \x1d\x04é", "a\u0300\u0301\u0302\u0303\u0304\u0305" * 3, "ÀÉÎÕÜ naïve café Ångström",
    "mixed١2३4 digits", "a1b2c3", "  12  34", "1 2 3 ", "'re're 're", " 's", "\u00A0's", "ALLCAPS CamelCase snake_case kebab-case",
    "The year 2026.\nNext line", "end with newline\n", "\r\n", "a\u3000\u3000b", "🦙 llama 🦙", "x\u0338 ≠ =\u0338",
    "\u0F43\u0F4D \u0F71\u0F72\u0F74", "\u1100\u1161\u11A8\u11A8", "\uAC00\u11A8 \u1100\uAC00", "\u0061\u0315\u0300\u05AE\u0062",
    "\u1D15E\U0001D15E \U0001D1BF", "\uFB1D \uFB2A \u05E9\u05BC\u05C1",
]
LONG = [("a", 50_000), ("lorem ipsum dolor sit amet, ", 2_000), ("你好", 5_000), (" ", 20_000), ("ab", 30_000), ("9", 5_000),
        ("!?", 10_000), ("\U0001F600", 3_000)]


def byte_spans(text, offsets):
    """Character spans as byte spans."""
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[b], at[e]] for b, e in offsets]


def encode(tokenizer, text, special):
    e = tokenizer.encode(text, add_special_tokens=special)
    return e.ids, byte_spans(text, e.offsets)


def cases(tokenizer, special=False, corpus=CORPUS):
    """Each text with its ids, byte spans and decoded text; long ones as a digest."""
    found = []
    for text in corpus:
        ids, spans = encode(tokenizer, text, special)
        found.append({"text": text, "ids": ids, "offsets": [x for s in spans for x in s],
                      "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
    return found


def long_cases(tokenizer):
    found = []
    for unit, times in LONG:
        ids, spans = encode(tokenizer, unit * times, False)
        lines = "".join(f"{i} {b} {e}\n" for i, (b, e) in zip(ids, spans))
        found.append({"unit": unit, "times": times, "tokens": len(ids), "sha256": hashlib.sha256(lines.encode()).hexdigest()})
    return found


def write(out, name, value):
    path = os.path.join(out, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
    print(f"{path}: {os.path.getsize(path)} bytes")


TRAINING = [t for t in CORPUS if t] + [
    "Cooking is the art of preparing food. Heat the oil in a large pan, then add the onions and the garlic.",
    "Season with salt and pepper. Bake in the oven for twenty minutes at 180 degrees until golden brown.",
    "the them then there these they this that those thing think with without within would could should",
    "in ing ion ation tion er ers ed es est ly ment ness able less ful", "你好 你们 我们 世界 今天 天气",
]


def train(pre_tokenizer, normalizer=None, vocab=640, **bpe):
    t = Tokenizer(models.BPE(**bpe))
    t.pre_tokenizer = pre_tokenizer
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TRAINING * 2, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=SPECIALS, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    return t


def save(out, name, tokenizer, string_merges=False):
    value = json.loads(tokenizer.to_str())
    if string_merges:
        value["model"]["merges"] = [" ".join(m) for m in value["model"]["merges"]]
    os.makedirs(os.path.join(out, name), exist_ok=True)
    write(out, f"{name}/tokenizer.json", value)
    return Tokenizer.from_str(json.dumps(value))


def make_styles(out):
    """Small tokenizers with the pipelines of GPT-2, Llama-3 and Qwen2."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = train(pre_tokenizers.ByteLevel(add_prefix_space=False))
    gpt2.post_processor = processors.ByteLevel(trim_offsets=True)
    llama3 = train(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), byte_level]), ignore_merges=True)
    llama3.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing("<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)])])
    qwen2 = train(pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), byte_level]), normalizers.NFC())
    qwen2.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    for name, tokenizer, string_merges in [("gpt2", gpt2, False), ("llama3", llama3, False), ("qwen2", qwen2, True)]:
        tokenizer = save(out, name, tokenizer, string_merges)
        write(out, f"{name}.json", {"special": name == "llama3", "cases": cases(tokenizer, name == "llama3"), "long": long_cases(tokenizer)})
    return gpt2


def make_variants(out, gpt2):
    """One small tokenizer with single parts exchanged, as JSON merge patches."""
    bl = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    plain = dict(bl, use_regex=False)
    def seq(*parts):
        return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(parts)}}
    def split(pattern, behavior, invert=False):
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    added = json.loads(gpt2.to_str())["added_tokens"]
    top = json.loads(gpt2.to_str())["model"]["vocab"]
    first = len(top)
    def token(i, content, **flags):
        return dict({"id": first + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                     "normalized": False, "special": False}, **flags)
    flagged = {"added_tokens": added + [
        token(0, "<l>", lstrip=True), token(1, "<r>", rstrip=True), token(2, "<lr>", lstrip=True, rstrip=True, special=True),
        token(3, "word", single_word=True), token(4, "éx", normalized=True), token(5, "<<l>", normalized=True),
        token(6, "Åx", normalized=False), token(7, "two words"), token(8, "two")]}
    flag_corpus = ["a <l> b", "a <r>  b", "a  <lr>  b", " <l><lr><r> ", "word sword wordy word. _word wördword word", "<<l>", "<l>\u3000<l>",
                   "e\u0301x éx \u0301", "\u212Bx Åx A\u030Ax", "two words two word", "word\u0301 word\u200D word", "x<l>\u00A0\n<r>\t<lr>", "é<l> éx",
                   "word", "<r> <l>", "<lr> <lr>", "twotwo words"]
    variants = [
        ("prefix space", {"pre_tokenizer": dict(bl, add_prefix_space=True)}, CORPUS),
        ("prefix space, trimmed", {"pre_tokenizer": dict(bl, add_prefix_space=True),
                                   "post_processor": dict(bl, add_prefix_space=True)}, CORPUS),
        ("prefix space, trimmed, not first", {"pre_tokenizer": dict(bl, add_prefix_space=True),
                                              "post_processor": dict(bl, add_prefix_space=False)}, CORPUS[:60]),
        ("digits", seq({"type": "Digits", "individual_digits": True}, bl), CORPUS),
        ("digit runs", seq({"type": "Digits", "individual_digits": False}, bl), CORPUS),
        ("digits, prefix space", seq({"type": "Digits", "individual_digits": True}, dict(bl, add_prefix_space=True)), CORPUS[:60]),
        ("nfc", {"normalizer": {"type": "NFC"}, "post_processor": None}, CORPUS),
        ("nfc, prefix space, trimmed", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
                                        "pre_tokenizer": dict(bl, add_prefix_space=True)}, CORPUS),
        ("flags", flagged, flag_corpus), ("flags, nfc", dict(flagged, normalizer={"type": "NFC"}), flag_corpus),
        ("flags, prefix space", dict(flagged, pre_tokenizer=dict(bl, add_prefix_space=True)), flag_corpus),
        ("whole word", {"pre_tokenizer": plain, "post_processor": None}, CORPUS[:20]),
        ("unknown", {"model": {"unk_token": "<|endoftext|>", "fuse_unk": True}}, ["a\u00FFb"]),
    ]
    for behavior in ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        for invert in [False, True]:
            variants.append((f"split {behavior} {invert}", seq(split({"Regex": r"[\s,.]"}, behavior, invert), plain),
                             ["a, b.. c", " ,a", "a, ", ",,", "a", "", "x. .y", "你，好, 世.界"]))
    variants += [
        ("split string", seq(split({"String": "(a.b)"}, "Isolated"), plain), ["x(a.b)y(aXb)", "(a.b)(a.b)"]),
        ("empty matches", seq(split({"Regex": "x*"}, "MergedWithPrevious"), plain), ["axxb", "xx", "abc", "你x好"]),
        ("classes", seq(split({"Regex": r"\w+|\d|\S\s|[\S]"}, "Isolated"), plain), CORPUS[:50]),
        ("lines", seq(split({"Regex": r"^a|b$|.c"}, "Isolated"), plain), ["a\na b\nb\ncc\n", "\nc", "a\r\nb\r\n"]),
        ("kinds", seq(split({"Regex": r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+|\P{L}|[^\p{P}\p{S}]"}, "Isolated"), plain), CORPUS),
    ]
    base = json.loads(gpt2.to_str())
    found = []
    for name, patch, corpus in variants:
        value = copy.deepcopy(base)
        for key, part in patch.items():
            value[key] = dict(value[key], **part) if key == "model" else part
        # cases keep ids and offsets only: decoding is the same for all
        found.append({"name": name, "patch": patch, "cases": [
            {k: c[k] for k in ("text", "ids", "offsets")} for c in cases(Tokenizer.from_str(json.dumps(value)), corpus=corpus)]})
    write(out, "variants.json", found)


CONVERSATIONS = [
    [{"role": "user", "content": "How do I boil an egg?"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello! How can I help?"}],
    [{"role": "system", "content": "You are a cook."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
    [{"role": "system", "content": ""}, {"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}, {"role": "user", "content": "three"},
     {"role": "assistant", "content": "four\n\nfive "}],
    [{"role": "user", "content": "你好，今天吃什么？"}, {"role": "assistant", "content": "吃饺子吧。\n🥟"}],
    [{"role": "user", "content": "what is <|im_end|>?"}, {"role": "assistant", "content": "a token: <|im_end|> <|im_start|>user\n"}],
    [{"role": "assistant", "content": "I start."}, {"role": "assistant", "content": "And go on."}],
    [{"role": "user", "content": "  spaces  \n"}, {"role": "system", "content": "late system"}, {"role": "assistant", "content": "\nok\n"}],
    [{"role": "user", "content": "weather?"}, {"role": "tool", "content": "{\"t\": 21}"}, {"role": "assistant", "content": "21 °C"}],
    [{"role": "user", "content": "x", "name": "ann", "id": 7}, {"role": "assistant", "content": "y {{ '{%' }} {# z #}"}],
]

PLAIN = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
         "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
# Ways in which published models write ChatML.
TEMPLATES = {
    "plain": PLAIN,
    "default system in the loop": None,  # the model's own
    "qwen2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful"
             " assistant.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
             "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "escapes, double quotes, attributes": '{%- for message in messages -%}\n  {{- "<|im_start|>" + message.role + "\\n" + message.content + "<|im_end|>\\n" -}}\n'
             '{%- endfor -%}\n{%- if add_generation_prompt -%}\n  {{- "<|im_start|>assistant\\n" -}}\n{%- endif -%}\n',
    "text outside": "{% for message in messages %}\n<|im_start|>{{ message.role }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}\n"
             "{% if add_generation_prompt %}\n<|im_start|>assistant\n{% endif %}",
    "set default": "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}" + PLAIN,
    "eos_token": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + eos_token + '\\n' }}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "system before the loop": "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}" + PLAIN,
    "bos and comment": "{# ChatML #}{{ bos_token }}" + PLAIN,
    "tilde and elements": "{%- for m in messages %}\n    {{- '<|im_start|>' ~ m[\"role\"] ~ '\\n' ~ m['content'] ~ '<|im_end|>\\n' }}\n{%- endfor %}\n"
             "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
}


def make_chat(out, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for name, template in TEMPLATES.items():
        source = template if template is not None else tokenizer.chat_template
        rendered = []
        for i, messages in enumerate(CONVERSATIONS):
            for prompt in [False, True]:
                text = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False, add_generation_prompt=prompt)
                entry = {"conversation": i, "prompt": prompt, "text": text}
                if template is None:
                    entry["ids"] = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=True,
                                                                 add_generation_prompt=prompt, return_dict=False)
                rendered.append(entry)
        found.append({"name": name, "template": source, "rendered": rendered})
    write(out, "chat.json", {"conversations": CONVERSATIONS, "templates": found})


def main():
    folder = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else "tests/golden/text"
    os.makedirs(out, exist_ok=True)
    smollm2 = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    assert "Digits" in smollm2.to_str()[:20000], "the pre-tokenizer of SmolLM2 (Digits first) is missing"
    write(out, "smollm2.json", {"special": False, "cases": cases(smollm2), "long": long_cases(smollm2)})
    tiny = Tokenizer.from_file(os.path.join(out, "..", "tiny_llama", "tokenizer.json"))
    write(out, "tiny_llama.json", {"special": False, "cases": cases(tiny), "long": []})
    make_variants(out, make_styles(out))
    make_chat(out, folder)


if __name__ == "__main__":
    main()
