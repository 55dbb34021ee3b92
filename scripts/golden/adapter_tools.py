#!/usr/bin/env python3
"""adapter_tools.py OUT: what PEFT's add_weighted_adapter makes of small adapters, and their singular values (torch, transformers, peft).

OUT/one, two, three, embedding: adapters of the tiny Llama as PEFT saves them, filled with seeded numbers. OUT/cases.json: which of
them were combined and how; OUT/expected.safetensors: the factors of every module of each result, under CASE/MODULE/A and B.
OUT/spectrum.json: norms and singular values of one/, from the products themselves in fp64. All arithmetic of PEFT's is fp32 on the CPU.
"""
import argparse, json, os, shutil
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "..", "tests", "golden", "tiny_llama")
ADAPTERS = {
    "one": dict(r=4, lora_alpha=8, target_modules=["layers.0.self_attn.q_proj", "layers.1.self_attn.v_proj"]),
    "two": dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["layers.0.self_attn.q_proj", "layers.0.self_attn.k_proj"]),
    "three": dict(r=2, lora_alpha=3, rank_pattern={"layers.1.self_attn.v_proj": 3}, alpha_pattern={"k_proj": 1.5},
                  target_modules=["layers.0.self_attn.k_proj", "layers.1.self_attn.v_proj"]),
    "embedding": dict(r=2, lora_alpha=4, target_modules=["embed_tokens"]),
}
CASES = [dict(name="cat", adapters=["one", "two", "three"], weights=[0.7, 0.4, -0.5], combination_type="cat"),
         dict(name="svd", adapters=["one", "two"], weights=[1.0, 0.5], combination_type="svd"),
         dict(name="svd_rank", adapters=["one", "three"], weights=[1.0, -2.0], combination_type="svd", svd_rank=6),
         dict(name="linear", adapters=["one", "two"], weights=[0.6, -0.4], combination_type="linear"),
         dict(name="scaled", adapters=["one"], weights=[0.25], combination_type="linear"),
         dict(name="ties", adapters=["one", "two"], weights=[1.0, 0.5], combination_type="ties", density=0.4),
         dict(name="ties_frequency", adapters=["one", "two"], weights=[1.0, -0.5], combination_type="ties", density=0.7,
              majority_sign_method="frequency"),
         dict(name="ties_svd", adapters=["one", "two"], weights=[1.0, 0.5], combination_type="ties_svd", density=0.5),
         dict(name="magnitude_prune", adapters=["one", "two"], weights=[0.9, 0.3], combination_type="magnitude_prune", density=0.5),
         dict(name="magnitude_prune_svd", adapters=["one", "two"], weights=[0.9, 0.3], combination_type="magnitude_prune_svd", density=0.3),
         dict(name="embedding", adapters=["embedding", "embedding2"], weights=[0.5, 1.5], combination_type="svd", svd_rank=3)]


def fill(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1


def make_adapters(out):
    for seed, (name, config) in enumerate(ADAPTERS.items()):
        base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **config))
        fill(model, seed)
        folder = os.path.join(out, name)
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, save_embedding_layers=False)
        os.remove(os.path.join(folder, "README.md"))
        path = os.path.join(folder, "adapter_config.json")
        saved = json.load(open(path))
        saved["base_model_name_or_path"] = "tiny_llama"
        if isinstance(saved["target_modules"], list):
            saved["target_modules"].sort()  # PEFT writes a set in an order of its own
        json.dump(saved, open(path, "w"), indent=2, sort_keys=True)


def factors(module, name):
    if name in module.lora_A:
        return module.lora_A[name].weight.data, module.lora_B[name].weight.data
    return module.lora_embedding_A[name].data, module.lora_embedding_B[name].data


def combine(out, case, expected):
    names = [n for n in case["adapters"]]
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, os.path.join(out, names[0]), adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(os.path.join(out, name.rstrip("2")), adapter_name=name)
    how = {k: v for k, v in case.items() if k not in ("name", "adapters")}
    model.add_weighted_adapter(adapters=names, adapter_name="sum", **how)
    for path, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_A") and ("sum" in module.lora_A or "sum" in module.lora_embedding_A):
            a, b = factors(module, "sum")
            expected[f"{case['name']}/{path}/A"], expected[f"{case['name']}/{path}/B"] = a.contiguous(), b.contiguous()
    case["rank"] = model.peft_config["sum"].r


def make_spectrum(out):
    config = json.load(open(os.path.join(out, "one", "adapter_config.json")))
    tensors = {k: v.double() for k, v in load_file(os.path.join(out, "one", "adapter_model.safetensors")).items()}
    modules = {}
    for key in tensors:
        if ".lora_A." not in key:
            continue
        a, b = tensors[key], tensors[key.replace("lora_A", "lora_B")]
        values = torch.linalg.svdvals(b @ a)[:config["r"]]
        modules[key[len("base_model.model."):-len(".lora_A.weight")]] = {
            "norm_a": a.norm().item(), "norm_b": b.norm().item(), "norm": (b @ a).norm().item(), "singular_values": values.tolist()}
    json.dump(modules, open(os.path.join(out, "spectrum.json"), "w"), indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    out = parser.parse_args().out
    make_adapters(out)
    expected = {}
    for case in CASES:
        combine(out, case, expected)
    save_file(expected, os.path.join(out, "expected.safetensors"), metadata={"format": "pt"})
    json.dump(CASES, open(os.path.join(out, "cases.json"), "w"), indent=1)
    make_spectrum(out)


main()
