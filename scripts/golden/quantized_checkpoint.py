"""Writes tests/golden/tiny_llama_nf4{,_plain}/: the tiny model as transformers saves it in NF4, with doubly quantised and
with plain scales, and decoded.json: SHA-256 of each weight as bitsandbytes decodes it from the saved file, as fp32.

Needs torch, transformers, bitsandbytes (0.50.2), safetensors. Usage: python scripts/golden/quantized_checkpoint.py
"""

import hashlib
import json
from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
STATE = ".quant_state.bitsandbytes__nf4"


def save(folder, double):
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double,
                                bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "tiny_llama", quantization_config=config,
                                                 dtype=torch.bfloat16, device_map="cpu")
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "generation_config.json").unlink()


def hashes(folder):
    tensors = load_file(folder / "model.safetensors")
    result = {}
    for name in (key.removesuffix(STATE) for key in tensors if key.endswith(STATE)):
        parts = {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}
        state = bnb.QuantState.from_dict(parts, torch.device("cpu"))
        state.dtype = torch.float32
        values = bnb.dequantize_4bit(tensors[name], state)
        result[name] = {"shape": list(values.shape), "sha256": hashlib.sha256(values.numpy().tobytes()).hexdigest()}
    return result


if __name__ == "__main__":
    for suffix, double in (("", True), ("_plain", False)):
        target = GOLDEN / ("tiny_llama_nf4" + suffix)
        target.mkdir(parents=True, exist_ok=True)
        save(target, double)
        (target / "decoded.json").write_text(json.dumps(hashes(target), indent=1) + "\n")
