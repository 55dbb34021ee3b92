#!/usr/bin/env python3
"""families_reread.py EXPORTS GOLDEN: transformers reads merged folders again and finds PEFT's log-probabilities in them.

EXPORTS  a folder per family of tests/golden/families, each written by
         graft merge --model GOLDEN/NAME --adapter GOLDEN/NAME/adapter --type f32 --out EXPORTS/NAME
GOLDEN   tests/golden/families
"""
import os, sys
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4


@torch.no_grad()
def difference(folder, golden):
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                          output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
    expected = load_file(f"{golden}/expected.safetensors")
    starts, worst = expected["starts"].tolist(), 0.0
    for first, last in reversed(list(zip(starts, starts[1:]))):
        got = model.eval()(expected["tokens"][None, first:last], use_cache=False).logits[0].log_softmax(-1)
        worst = max(worst, float((got - expected["log_probs"][first:last]).abs().max()))
    return worst


failed = False
for name in sorted(os.listdir(sys.argv[1])):
    worst = difference(f"{sys.argv[1]}/{name}", f"{sys.argv[2]}/{name}")
    failed = failed or not worst < TOLERANCE
    print(f"{name}: {worst:.2e}")
sys.exit(failed)
