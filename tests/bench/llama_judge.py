"""Compares graft's predictions with llama.cpp's: the file that graft wrote, in the program that will run it.

llama.cpp loads MODEL.gguf, with --lora the GGUF LoRA on it; graft scores the reference, a base with or without an adapter. Per
prompt: the reference's 20 likeliest tokens after it, and the greedy answer. Exits 1 where they differ by more than --within.

Needs xllamacpp (PyPI). Usage: python tests/bench/llama_judge.py --gguf merged.gguf --base BASE [--adapter A] [--lora l.gguf]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from llama_server import llama_server

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "Naïve café: 3.14159 x 2 =",
    "<|im_start|>user\nHow do I make tomato soup?<|im_end|>\n<|im_start|>assistant\n",
]
TOP = 20
ANSWER_TOKENS = 16


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", default=Path(__file__).resolve().parents[2] / "build" / "graft")
    parser.add_argument("--gguf", required=True, help="what llama.cpp loads")
    parser.add_argument("--lora", help="a GGUF LoRA on it")
    parser.add_argument("--base", required=True, help="what graft loads")
    parser.add_argument("--adapter", help="with this adapter on it")
    parser.add_argument("--within", type=float, default=1e-3, help="largest difference of log-probabilities")
    return parser.parse_args()


def graft(arguments, *words):
    done = subprocess.run([arguments.graft, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def model_words(arguments):
    return ["--model", arguments.base, *(["--adapter", arguments.adapter] if arguments.adapter else [])]


def prompts_of(arguments, folder):
    """Token ids of the prompts, by graft."""
    ids = []
    for index, prompt in enumerate(PROMPTS):
        file = Path(folder) / f"prompt-{index}.txt"
        file.write_text(prompt)
        ids.append(json.loads(graft(arguments, "tokenize", "--model", arguments.base, file))["ids"])
    return ids


def scores_of(arguments, prompts, folder):
    rows = Path(folder) / "rows.jsonl"
    rows.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in prompts))
    words = ["score", *model_words(arguments), str(rows), "--top", str(TOP), "--dtype", "fp32", "--json"]
    lines = [json.loads(line) for line in graft(arguments, *words).splitlines()]
    return [dict(map(tuple, line["top"])) for line in lines if "top" in line]


def complete(server, ids, tokens):
    return server.handle_completions({"prompt": ids, "max_tokens": tokens, "temperature": 0.0, "logprobs": 8 * TOP,
                                      "cache_prompt": False})["choices"][0]


def llama_answer(server, ids, tokens):
    """Log-probabilities by id after `ids`, and the text of the greedy answer.

    The server holds back a token that begins a character without ending it, and its log-probabilities with it: then nothing.
    """
    first = complete(server, ids, 1).get("logprobs")
    content = first["content"] if first else []
    return {entry["id"]: entry["logprob"] for entry in content[0]["top_logprobs"]} if content else None, \
        complete(server, ids, tokens)["text"]


def graft_answer(arguments, prompt):
    greedy = ["--temperature", "0", "--repetition-penalty", "1", "--max-new-tokens", str(ANSWER_TOKENS)]
    return graft(arguments, "generate", *model_words(arguments), "--raw", "--dtype", "fp32", "--prompt", prompt, *greedy).rstrip("\n")


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder:
        prompts = prompts_of(arguments, folder)
        wanted = scores_of(arguments, prompts, folder)
    server = llama_server(arguments.gguf, arguments.lora)
    largest, missing, same_first, same_answer, held_back = 0.0, 0, 0, 0, 0
    for prompt, ids, want in zip(PROMPTS, prompts, wanted):
        got, answer = llama_answer(server, ids, ANSWER_TOKENS)
        if got is None:
            held_back += 1
        else:
            missing += sum(id not in got for id in want)
            largest = max([largest, *(abs(got[id] - want[id]) for id in want if id in got)])
            same_first += max(got, key=got.get) == max(want, key=want.get)
        ours = graft_answer(arguments, prompt)
        same_answer += ours.strip() == answer.strip()
        if ours.strip() != answer.strip():
            print(f"graft:     {ours!r}\nllama.cpp: {answer!r}", file=sys.stderr)
    report = {"largest_difference": largest, "missing": missing, "same_first_token": same_first,
              "same_answer": same_answer, "held_back": held_back, "prompts": len(PROMPTS)}
    print(json.dumps(report))
    if not largest <= arguments.within or missing or held_back == len(PROMPTS):
        sys.exit(f"differs by {largest:.2g}, want at most {arguments.within:g}")


if __name__ == "__main__":
    main()
