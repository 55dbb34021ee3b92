#!/usr/bin/env python3
"""Golden files of tokenizers beyond byte-level BPE, made by tokenizers and sentencepiece.

usage: tokenizer_variants.py [OUT=tests/golden/text]

tokenizers.json holds the corpus once, small tokenizers trained here, and per variant (a base with parts exchanged) a digest of each
text's ids, byte spans and decoded text. sentencepiece.json and unigram/ are sentencepiece models with the same digests.
"""
import copy
import hashlib
import importlib.util
import io
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # this file is called as the package is

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

spec = importlib.util.spec_from_file_location("text_goldens", os.path.join(HERE, "text.py"))
text_goldens = importlib.util.module_from_spec(spec)
spec.loader.exec_module(text_goldens)

SPACE = "\u2581"
CORPUS = text_goldens.CORPUS + [
    "\u2581", "\u2581hello \u2581 world", "a\u2581b", " <unk> ", "<0x41>", "[MASK]word [MASK] word[MASK]", " [SEP] x  [SEP]",
    "HÉLLO Wörld İstanbul ΣΑΣ ſ ẞ", "ＨＥＬＬＯ　①②③ ㍿ ﷺ", "a\u0301\u0302\u0303 \u1100\u1161\u11A8", "tab\tnew\nline\r\n  end  ",
    "中文字符没有空格的一句话，很长。", "龘靐齉齾", "x" * 40 + " " * 20 + "y" * 3, "hello,world!!(a)[b]{c}<d>", "~`$^+=|", "a_b-c.d",
    "  lead and trail  ", "\u00A0nbsp\u00A0", "1\u0663 ½ Ⅷ 三", "don't stop", "\U0001F600\u200D\U0001F600", "q\u0307\u0323",
]


def digest(ids, spans, decoded):
    lines = "".join(f"{i} {b} {e}\n" for i, (b, e) in zip(ids, spans))
    return hashlib.sha256((lines + decoded).encode()).hexdigest()[:16]


def digests(tokenizer, decodes, corpus=CORPUS):
    found = []
    for text in corpus:
        e = tokenizer.encode(text, add_special_tokens=False)
        found.append(digest(e.ids, text_goldens.byte_spans(text, e.offsets),
                            tokenizer.decode(e.ids, skip_special_tokens=False) if decodes else ""))
    return found


def added(i, content, **flags):
    base = {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return dict(base, **flags)


def character_bpe():
    """BPE on characters with byte pieces, as Llama-2 and Gemma have it."""
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Replace(" ", SPACE)
    t.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    t.train_from_iterator([SPACE + x for x in text_goldens.TRAINING] * 2, trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], show_progress=False,
        limit_alphabet=120))
    value = json.loads(t.to_str())
    value["added_tokens"] = [a for a in value["added_tokens"] if not a["content"].startswith("<0x")]
    return value


def unigram():
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.train_from_iterator(text_goldens.TRAINING * 3, trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False))
    return json.loads(t.to_str())


def word_level():
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.train_from_iterator(text_goldens.TRAINING, trainers.WordLevelTrainer(vocab_size=200, special_tokens=["<unk>", "<s>"], show_progress=False))
    return json.loads(t.to_str())


def variants():
    seq = lambda *parts: {"type": "Sequence", "normalizers": list(parts)}
    pre = lambda *parts: {"type": "Sequence", "pretokenizers": list(parts)}
    dec = lambda *parts: {"type": "Sequence", "decoders": list(parts)}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    llama = dec(back, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})
    meta = lambda scheme, split=True: {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}
    kind = lambda name, **more: dict({"type": name}, **more)
    bpe = [
        ("llama2", {"normalizer": seq(kind("Prepend", prepend=SPACE), replace), "pre_tokenizer": None, "decoder": llama}),
        ("gemma", {"normalizer": replace, "pre_tokenizer": kind("Split", pattern={"String": " "}, behavior="MergedWithPrevious",
                   invert=False), "decoder": dec(back, kind("ByteFallback"), kind("Fuse"))}),
        ("metaspace first", {"normalizer": None, "pre_tokenizer": meta("first", False), "decoder": llama}),
        ("metaspace always", {"normalizer": None, "pre_tokenizer": meta("always"), "decoder": kind("Metaspace", replacement=SPACE,
                              prepend_scheme="always", split=True)}),
        ("metaspace never", {"normalizer": None, "pre_tokenizer": meta("never"), "decoder": meta("never")}),
        ("no fallback", {"model": {"byte_fallback": False}, "normalizer": replace, "pre_tokenizer": None, "decoder": None}),
        ("no fallback, no fuse", {"model": {"byte_fallback": False, "fuse_unk": False}, "normalizer": replace, "pre_tokenizer": None,
                                  "decoder": kind("Fuse")}),
        ("no fallback, no unknown", {"model": {"byte_fallback": False, "unk_token": None}, "normalizer": None, "pre_tokenizer": None,
                                     "decoder": back}),
        ("ignore merges", {"model": {"ignore_merges": True}, "normalizer": replace, "pre_tokenizer": None,
                           "decoder": dec(kind("Strip", content="e", start=0, stop=1), back)}),
        ("nfd", {"normalizer": kind("NFD"), "pre_tokenizer": None}), ("nfkd", {"normalizer": kind("NFKD"), "pre_tokenizer": None}),
        ("nfc", {"normalizer": kind("NFC"), "pre_tokenizer": None}), ("nfkc", {"normalizer": kind("NFKC"), "pre_tokenizer": None}),
        ("lowercase", {"normalizer": kind("Lowercase"), "pre_tokenizer": None}),
        ("strip", {"normalizer": kind("Strip", strip_left=True, strip_right=True), "pre_tokenizer": None}),
        ("strip left", {"normalizer": kind("Strip", strip_left=True, strip_right=False), "pre_tokenizer": None}),
        ("strip accents", {"normalizer": seq(kind("NFD"), kind("StripAccents")), "pre_tokenizer": None}),
        ("all of them", {"normalizer": seq(kind("NFKD"), kind("StripAccents"), kind("Lowercase"), kind("Strip", strip_left=True,
                         strip_right=True), kind("Prepend", prepend="<<"), replace), "pre_tokenizer": None}),
        ("replace by pattern", {"normalizer": kind("Replace", pattern={"Regex": "[aeiou]{2,}|\\s+"}, content="é-"), "pre_tokenizer": None}),
        ("replace by nothing", {"normalizer": kind("Replace", pattern={"String": "l"}, content=""), "pre_tokenizer": None}),
        ("whitespace", {"normalizer": None, "pre_tokenizer": kind("Whitespace")}),
        ("whitespace split", {"normalizer": None, "pre_tokenizer": kind("WhitespaceSplit")}),
        ("punctuation", {"normalizer": None, "pre_tokenizer": kind("Punctuation", behavior="MergedWithPrevious")}),
        ("bert", {"normalizer": None, "pre_tokenizer": kind("BertPreTokenizer")}),
        ("delimiter", {"normalizer": None, "pre_tokenizer": kind("CharDelimiterSplit", delimiter="o")}),
        ("digits", {"normalizer": None, "pre_tokenizer": pre(kind("Digits", individual_digits=True), kind("WhitespaceSplit"))}),
        ("metaspace after a split", {"normalizer": None, "pre_tokenizer": pre(kind("Punctuation", behavior="Isolated"), meta("first"))}),
        ("added tokens", {"normalizer": seq(kind("Lowercase"), replace), "pre_tokenizer": None, "added_tokens": [
            added(0, "<unk>", special=True), added(1, "<s>", special=True, rstrip=True), added(2, "</s>", special=True, lstrip=True),
            added(1000, "[MASK]", lstrip=True), added(1001, "WORLD", normalized=True, single_word=True), added(1002, "[SEP]", rstrip=True),
            added(1003, "the lazy", normalized=True), added(1004, "\n\n", normalized=False)]}),
        ("added tokens under metaspace", {"normalizer": None, "pre_tokenizer": meta("first"), "added_tokens": [
            added(0, "<unk>", special=True), added(1000, "[MASK]"), added(1001, " world", normalized=True)],
            "decoder": meta("first")}),
    ]
    uni = [
        ("unigram", {}),
        ("unigram, whole text", {"normalizer": replace, "pre_tokenizer": None}),
        ("unigram, no fuse of spaces", {"pre_tokenizer": meta("first", False), "decoder": meta("first")}),
        ("unigram, white space", {"pre_tokenizer": kind("WhitespaceSplit"), "decoder": None}),
    ]
    return {"characters": bpe, "unigram": uni, "words": [("words", {}), ("words of lower case", {"normalizer": kind("Lowercase")})]}


RULES = [("\uFB01", "fi"), ("\u3000", " "), ("\uFF0C", ","), ("\u00E9", "e\u0301"), ("\u2460", "1"), ("\u338F", "kg"), ("\u200D", ""),
         ("Ａ", "A"), ("ＡＢ", "ab"), ("\u1100\u1161", "\uAC00")]


def train_sentencepiece(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t for t in text_goldens.TRAINING if "\n" not in t and "\x00" not in t] * 4), model_writer=model,
        character_coverage=0.98, hard_vocab_limit=False, minloglevel=2, num_threads=1, **options)
    return model.getvalue()


def sentencepiece_spans(text, pieces, processor):
    spans = text_goldens.byte_spans(text, [(p.begin, p.end) for p in pieces])
    for i in range(len(spans) - 2, -1, -1):
        if spans[i][0] == spans[i][1] == spans[i + 1][0] and processor.IsByte(pieces[i].id):
            spans[i] = spans[i + 1]
    return spans


def sentencepiece_digests(model, corpus):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    found = []
    for text in corpus:
        encoded = processor.encode(text, out_type="immutable_proto")
        ids = [p.id for p in encoded.pieces]
        known = [i for i in ids if not processor.is_unknown(i)]
        found.append(digest(ids, sentencepiece_spans(text, encoded.pieces, processor), processor.decode(known)))
    return found


def charsmap_of(model):
    """The precompiled rules of a model file, in base64: field 2 of field 3."""
    import base64

    def fields(data):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value

        while at < len(data):
            tag = varint()
            if tag & 7 == 2:
                size = varint()
                yield tag >> 3, data[at:at + size]
                at += size
            elif tag & 7 == 5:
                at += 4
            else:
                varint()

    normalizer = next(v for n, v in fields(model) if n == 3)
    return base64.b64encode(next(v for n, v in fields(normalizer) if n == 2)).decode()


def make_models(out, found):
    """sentencepiece models: name -> file; digests of the library over the corpus."""
    rules = os.path.join(out, "rules.tsv")
    with open(rules, "w", encoding="utf-8") as f:
        for source, target in RULES:
            f.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
    kinds = {
        "bpe": dict(model_type="bpe", vocab_size=620, byte_fallback=True, normalization_rule_name="identity", split_digits=True,
                    remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, control_symbols=["[INST]"],
                    user_defined_symbols=[SPACE * 2, SPACE * 4, "<b>", "\t"]),
        "bpe_plain": dict(model_type="bpe", vocab_size=420, byte_fallback=False, normalization_rule_name="identity",
                          add_dummy_prefix=False, remove_extra_whitespaces=False),
        "unigram": dict(model_type="unigram", vocab_size=320, byte_fallback=False, normalization_rule_tsv=rules),
        "unigram_bytes": dict(model_type="unigram", vocab_size=560, byte_fallback=True, normalization_rule_tsv=rules,
                              remove_extra_whitespaces=False),
    }
    corpus = [t for t in CORPUS if not any(s in t for s in ["<s>", "</s>", "<unk>", "[INST]"])]
    made = {}
    for name, options in kinds.items():
        made[name] = train_sentencepiece(**options)
        os.makedirs(os.path.join(out, name), exist_ok=True)
        with open(os.path.join(out, name, "tokenizer.model"), "wb") as f:
            f.write(made[name])
        found["models"].append({"name": name, "digests": sentencepiece_digests(made[name], corpus)})
    found["model_corpus"] = corpus
    os.remove(rules)
    return made


NO_PREFIX = bytes([0x1A, 0x02, 0x18, 0x00])  # normalizer_spec { add_dummy_prefix: false }
MARKED = ["<s>Hello world</s>", "Hello<s> world", "<s> Hello  world </s> ", "a</s>b</s>c", "[INST] hi [/INST] hello</s>[INST]x", "<s>",
          " ", "", "<unk>你好<unk>", "  two<s>  two", "<tool> a<tool>b <tool>"]


def make_parsed(model):
    """Special and added tokens in text, as transformers' slow tokenizers of Llama took them: each stretch between them goes to
    sentencepiece, with a prefix everywhere (legacy), only at the start, or nowhere."""
    processors_ = {True: sentencepiece.SentencePieceProcessor(model_proto=model),
                   False: sentencepiece.SentencePieceProcessor(model_proto=model + NO_PREFIX)}
    plain = processors_[True]
    specials = {plain.id_to_piece(i): i for i in range(plain.get_piece_size()) if plain.is_control(i) or plain.is_unknown(i)}
    specials["<tool>"] = plain.get_piece_size()
    found = []
    for scheme in ["always", "first", "never"]:
        for text in MARKED:
            ids, spans, at = [], [], 0
            while at < len(text):
                token = next((s for s in sorted(specials, key=len, reverse=True) if text.startswith(s, at)), None)
                if token:
                    ids.append(specials[token])
                    spans.append((at, at + len(token)))
                    at += len(token)
                    continue
                end = min([i for i in (text.find(s, at) for s in specials) if i >= 0] + [len(text)])
                part = text[at:end]
                processor = processors_[scheme == "always" or (scheme == "first" and at == 0)]
                encoded = processor.encode(part, out_type="immutable_proto")
                base = len(text[:at].encode())
                for piece, (b, e) in zip(encoded.pieces, sentencepiece_spans(part, encoded.pieces, processor)):
                    ids.append(piece.id)
                    spans.append((-1 - base - b, -1 - base - e))
                at = end
            spans = [(-1 - b, -1 - e) if b < 0 else tuple(text_goldens.byte_spans(text, [(b, e)])[0]) for b, e in spans]
            found.append({"scheme": scheme, "text": text, "ids": ids, "offsets": [x for s in spans for x in s]})
    return found


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else "tests/golden/text"
    found = {"corpus": CORPUS, "bases": {}, "variants": [], "models": []}
    made = make_models(out, found)
    found["parsed"] = make_parsed(made["bpe"])
    found["bases"] = {"characters": character_bpe(), "unigram": unigram(), "words": word_level()}
    cases = variants()
    cases["unigram"].append(("unigram, precompiled rules", {"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap_of(made["unigram"])}}))
    for base, list_ in cases.items():
        for name, patch in list_:
            value = copy.deepcopy(found["bases"][base])
            for key, part in patch.items():
                value[key] = dict(value[key], **part) if key == "model" else part
            if "added_tokens" in patch:  # ids follow the vocabulary
                size = len(value["model"]["vocab"])
                new = [entry for entry in value["added_tokens"] if entry["content"] not in value["model"]["vocab"]]
                for entry in value["added_tokens"]:
                    entry["id"] = size + new.index(entry) if entry in new else value["model"]["vocab"][entry["content"]]
                patch["added_tokens"] = value["added_tokens"]
            tokenizer = Tokenizer.from_str(json.dumps(value))
            # tokenizers decodes a normalized token to its normalized form, we to its content.
            decodes = name != "added tokens"
            found["variants"].append({"name": name, "base": base, "patch": patch, "decodes": decodes,
                                      "digests": digests(tokenizer, decodes)})
    text_goldens.write(out, "tokenizers.json", found)


if __name__ == "__main__":
    main()
