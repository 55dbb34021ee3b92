#!/usr/bin/env python3
"""adapter_switch.py TINY_LLAMA ADAPTERS OUT: PEFT with several adapters on one base, switched and scaled.

TINY_LLAMA  tests/golden/tiny_llama
ADAPTERS    tests/golden/peft (plain, rslora, subset)
OUT         tests/golden/peft/switch.json: per adapter and scale (PEFT's set_scale) the likeliest tokens and their
            log-probabilities after a prompt, in fp32
"""
import json, sys
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM

PROMPT = [1, 300, 17, 42, 511, 88, 260, 9]
NAMES = ["plain", "rslora", "subset"]


@torch.no_grad()
def top(model):
    values, ids = model(torch.tensor([PROMPT])).logits[0, -1].log_softmax(-1).topk(20)
    return [[int(i), float(v)] for i, v in zip(ids, values)]


def main(base, adapters, out):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    rows = [dict(adapter="none", scale=1.0, top=top(model))]
    model = PeftModel.from_pretrained(model, f"{adapters}/{NAMES[0]}", adapter_name=NAMES[0]).eval()
    for name in NAMES[1:]:
        model.load_adapter(f"{adapters}/{name}", adapter_name=name)
    for name in NAMES:
        model.set_adapter(name)
        for scale in (1.0, 0.5, -2.0):
            for module in model.modules():
                if isinstance(module, LoraLayer) and name in module.scaling:
                    module.set_scale(name, scale)
            rows.append(dict(adapter=name, scale=scale, top=top(model)))
    json.dump(dict(prompt=PROMPT, rows=rows), open(out, "w"), separators=(",", ":"))


main(*sys.argv[1:])
