#!/usr/bin/env python3
"""expert_parameters.py FAMILIES: adapters of experts as PEFT writes them on transformers 5, and what they compute.

FAMILIES  tests/golden/families, after families.py

Per family with experts
  NAME/resaved/     NAME/adapter, whose experts have factors of their own, as PEFT saves it again: experts of a block in one
                    pair of factors, gate and up side by side in it
  NAME/parameters/  an adapter with target_parameters from the start, gate and up behind one A; and expected.safetensors with the
                    log-probabilities of families.py's two sequences
"""
import json, os, shutil, sys
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from families import load, logits, sequences

# All kinds of parameters at once, with rank_pattern and rsLoRA; and each fused parameter alone in its block, where both have one name.
FROM_THE_START = {
    "qwen3_moe": dict(r=2, lora_alpha=4, use_rslora=True, target_modules=["q_proj", "v_proj"], rank_pattern={".*\\.down_proj": 3},
                      alpha_pattern={"layers\\.2\\.mlp\\.experts\\.gate_up_proj": 7},
                      target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight", "layers.1.mlp.up_proj.weight"]),
    "mixtral": dict(r=2, lora_alpha=3, target_modules=[],
                    target_parameters=["layers.0.mlp.experts.gate_up_proj", "layers.1.mlp.experts.down_proj", "gate.weight"]),
}


def save(model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(f"{folder}/README.md")
    path = f"{folder}/adapter_config.json"
    config = json.load(open(path)) | {"base_model_name_or_path": ""}
    for key in ("target_modules", "target_parameters"):
        config[key] = sorted(config[key])
    json.dump(config, open(path, "w"), indent=2)


def drawn(folder, config):
    model = get_peft_model(load(folder), LoraConfig(task_type="CAUSAL_LM", **config))
    generator = torch.Generator().manual_seed(8)
    for name, p in sorted(model.named_parameters()):
        if "lora_" in name:
            p.data = torch.randn(p.shape, generator=generator) * 0.15
    return model


for name, config in FROM_THE_START.items():
    folder = f"{sys.argv[1]}/{name}"
    save(PeftModel.from_pretrained(load(folder), f"{folder}/adapter"), f"{folder}/resaved")
    model = drawn(folder, config)
    save(model, f"{folder}/parameters")
    with torch.no_grad():
        rows = torch.cat([logits(model, ids).log_softmax(-1) for ids in sequences()])
    save_file({"log_probs": rows}, f"{folder}/parameters/expected.safetensors")
    print(name, {k: tuple(p.shape) for k, p in model.named_parameters() if "lora_" in k and ".mlp." in k})
