#!/usr/bin/env python3
"""expert_tools.py FAMILIES: what the tools on adapter files make of adapters of fused experts, from the weights that PEFT merges.

FAMILIES  tests/golden/families, after expert_parameters.py

PEFT's add_weighted_adapter refuses target_parameters. So per family with experts NAME/tools.safetensors holds log-probabilities of
families.py's sequences under weights made by hand from W (the base) and W_a, W_b (NAME/resaved and NAME/parameters merged by PEFT):
  combined  W + 0.5 (W_a - W) - 0.75 (W_b - W)
  resized   W + the nearest matrices of rank RANK to W_a - W, of each linear of each expert by itself
  kept      share of the sum of squares that those keep, by parameter
"""
import sys
import torch
from peft import PeftModel
from safetensors.torch import save_file

from families import load, logits, sequences

RANK = 1


def merged(folder, adapter):
    return PeftModel.from_pretrained(load(folder), f"{folder}/{adapter}").merge_and_unload().state_dict()


def nearest(matrix, kept):
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    kept.append((s[:RANK].square().sum(), s.square().sum()))
    return (u[:, :RANK] * s[:RANK]) @ v[:RANK]


def truncated(name, delta, shares):
    if not delta.abs().max() > 0:
        return delta
    kept, rows = [], delta.unsqueeze(0) if delta.dim() == 2 else delta
    halves = 2 if name.endswith("gate_up_proj") else 1
    result = torch.stack([torch.cat([nearest(half, kept) for half in expert.chunk(halves)]) for expert in rows])
    shares[f"kept.{name}"] = torch.tensor([float(sum(k for k, _ in kept) / sum(t for _, t in kept))], dtype=torch.float64)
    return result.reshape(delta.shape)


@torch.no_grad()
def log_probs(folder, weights):
    model = load(folder)
    model.load_state_dict({name: value.to(torch.float32) for name, value in weights.items()})
    return torch.cat([logits(model, ids).log_softmax(-1) for ids in sequences()])


for name in ("qwen3_moe", "mixtral"):
    folder = f"{sys.argv[1]}/{name}"
    base = {k: v.double() for k, v in load(folder).state_dict().items()}
    first, second = merged(folder, "resaved"), merged(folder, "parameters")
    shares = {}
    combined = {k: v + 0.5 * (first[k].double() - v) - 0.75 * (second[k].double() - v) for k, v in base.items()}
    resized = {k: v + truncated(k, first[k].double() - v, shares) for k, v in base.items()}
    save_file({"combined": log_probs(folder, combined), "resized": log_probs(folder, resized)} | shares, f"{folder}/tools.safetensors")
    print(name, shares)
