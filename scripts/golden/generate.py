#!/usr/bin/env python3
"""generate.py OUT: token probabilities after transformers' logits processors, for the sampler's test.

OUT  tests/golden/generate/sampler.json
"""
import json, os, sys
import torch
from transformers import (LogitsProcessorList, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
                          TopKLogitsWarper, TopPLogitsWarper)

CASES = [
    dict(name="plain", temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0),
    dict(name="temperature", temperature=0.5, top_k=0, top_p=1.0, repetition_penalty=1.0),
    dict(name="top_k", temperature=1.0, top_k=4, top_p=1.0, repetition_penalty=1.0),
    dict(name="top_p", temperature=1.0, top_k=0, top_p=0.8, repetition_penalty=1.0),
    dict(name="tiny top_p keeps one", temperature=1.0, top_k=0, top_p=0.01, repetition_penalty=1.0),
    dict(name="penalty", temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.6),
    dict(name="all", temperature=1.7, top_k=9, top_p=0.9, repetition_penalty=1.3),
]


def probabilities(logits, seen, case):
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(case["repetition_penalty"]),
                                 TemperatureLogitsWarper(case["temperature"])])
    if case["top_k"]:
        steps.append(TopKLogitsWarper(case["top_k"]))
    if case["top_p"] < 1.0:
        steps.append(TopPLogitsWarper(case["top_p"]))
    return steps(torch.tensor([seen]), logits[None].clone())[0].softmax(-1)


def main(out):
    torch.manual_seed(5)
    logits = torch.randn(16) * 2
    seen = [int(logits.argmax()), 3, 3, int(logits.argmin())]
    rows = [dict(case, logits=logits.tolist(), seen=seen, probabilities=probabilities(logits, seen, case).tolist())
            for case in CASES]
    os.makedirs(os.path.dirname(out), exist_ok=True)
    json.dump(rows, open(out, "w"), indent=1)


main(sys.argv[1])
