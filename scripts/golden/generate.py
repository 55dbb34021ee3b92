#!/usr/bin/env python3
"""generate.py TINY_LLAMA OUT: what transformers samples and generates, for the tests of the room generate.

TINY_LLAMA  tests/golden/tiny_llama
OUT         tests/golden/generate

Writes
  sampler.json  token probabilities after transformers' logits processors, on fixed logits
  tiny.json     greedy answers of transformers' generate on TINY_LLAMA in fp32: with a repetition penalty, with a set
                of eos ids, with stop strings; the tokens that min_p and its like keep of the model's own logits
"""
import json, os, sys
import torch
from transformers import (AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList, MinPLogitsWarper,
                          RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

PLAIN = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0)
CASES = [
    dict(PLAIN, name="plain"),
    dict(PLAIN, name="temperature", temperature=0.5),
    dict(PLAIN, name="top_k", top_k=4),
    dict(PLAIN, name="top_p", top_p=0.8),
    dict(PLAIN, name="tiny top_p keeps one", top_p=0.01),
    dict(PLAIN, name="min_p", min_p=0.1),
    dict(PLAIN, name="min_p after temperature", temperature=0.6, min_p=0.05),
    dict(PLAIN, name="min_p of one keeps the best", min_p=1.0),
    dict(PLAIN, name="penalty", repetition_penalty=1.6),
    dict(PLAIN, name="all", temperature=1.7, top_k=9, top_p=0.9, min_p=0.04, repetition_penalty=1.3),
    dict(PLAIN, name="equals at the edge of top_k", top_k=3, equal=True),
    dict(PLAIN, name="equals at the edge of top_p", top_p=0.5, equal=True),
]
PROMPTS = ["Once upon a time", "The model reads tokens and", "a b c d e f g", "The sky", "def f(n):\n    return n"]
TOKENS = 24
PENALTY = 1.3


def processors(case):
    """In the order of GenerationMixin._get_logits_processor."""
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(case["repetition_penalty"]),
                                 TemperatureLogitsWarper(case["temperature"])])
    if case["top_k"]:
        steps.append(TopKLogitsWarper(case["top_k"]))
    if case["top_p"] < 1.0:
        steps.append(TopPLogitsWarper(case["top_p"]))
    if case["min_p"] > 0.0:
        steps.append(MinPLogitsWarper(case["min_p"]))
    return steps


def probabilities(logits, seen, case):
    return processors(case)(torch.tensor([seen]), logits[None].clone())[0].softmax(-1)


def sampler_rows():
    torch.manual_seed(5)
    logits = torch.randn(16) * 2
    equal = torch.tensor([0.0, 1.5, 1.5, -1.0, 1.5, 2.0, 1.5, 0.5])
    rows = []
    for case in CASES:
        mine = equal if case.get("equal") else logits
        seen = [int(mine.argmax()), 3, 3, int(mine.argmin())]
        rows.append(dict(case, logits=mine.tolist(), seen=seen,
                         probabilities=probabilities(mine, seen, case).tolist()))
    return rows


@torch.no_grad()
def tiny(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model.generation_config.eos_token_id = None  # nothing ends but what a case says

    def write(ids, **how):
        how = dict(do_sample=False, max_new_tokens=TOKENS, pad_token_id=0, **how)
        return model.generate(torch.tensor([ids]), **how)[0, len(ids):].tolist()

    rows = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt).input_ids
        free, penalised = write(ids), write(ids, repetition_penalty=PENALTY)
        text = tokenizer.decode(penalised, skip_special_tokens=True)
        begin = max(3, next(i for i in range(3, len(text)) if text[i:i + 3].isascii()))
        ends, stop = [penalised[7], penalised[13], 511], [text[begin:begin + 3], "never written"]
        ended = write(ids, repetition_penalty=PENALTY, eos_token_id=ends)
        stopped = write(ids, repetition_penalty=PENALTY, stop_strings=stop, tokenizer=tokenizer)
        scores = model(torch.tensor([ids])).logits[0, -1]
        kept = []
        for min_p, top_p, top_k in ((0.3, 1.0, 0), (0.1, 0.7, 0), (0.02, 0.95, 40)):
            case = dict(PLAIN, temperature=3.0, min_p=min_p, top_p=top_p, top_k=top_k)
            chance = probabilities(scores, ids, case)
            kept.append(dict(case, ids=chance.nonzero()[:, 0].tolist(), best=float(chance.max())))
        rows.append(dict(prompt=prompt, ids=ids, greedy=free, penalised=penalised, text=text, ends=ends, ended=ended,
                         stop=stop, before_stop=tokenizer.decode(stopped, skip_special_tokens=True).split(stop[0])[0],
                         kept=kept))
    return rows


def main(base, out):
    os.makedirs(out, exist_ok=True)
    json.dump(sampler_rows(), open(f"{out}/sampler.json", "w"), indent=1)
    json.dump(tiny(base), open(f"{out}/tiny.json", "w"), separators=(",", ":"))


main(*sys.argv[1:])
