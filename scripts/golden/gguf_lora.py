#!/usr/bin/env python3
"""gguf_lora.py METHODS: two of PEFT's adapters of tests/golden/peft/methods as GGUF LoRA files beside them (gguf, safetensors).

Written as llama.cpp reads them: tensors BASE.lora_a [r,in] and BASE.lora_b [out,r], scale adapter.lora.alpha / rank, rows of q and k
in pairs as the base's, A of the embedding transposed. What one alpha cannot say of single modules is folded into B.
METHODS/llama_patterns.gguf: alpha 5, f32 and f16; METHODS/llama_embedding_head.gguf: alpha 0, which is scale 1.
"""
import json, os, re, sys
import numpy as np
from gguf import GGUFWriter
from safetensors.numpy import load_file

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
HEADS = {"attn_q": 4, "attn_k": 2}


def pattern(patterns, module, otherwise):
    for key, value in patterns.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return otherwise


def gguf_name(module):
    if module == "model.embed_tokens":
        return "token_embd"
    if module == "lm_head":
        return "output"
    _, _, layer, name = module.split(".", 3)
    return f"blk.{layer}.{NAMES[name]}"


def permuted(b, name):
    heads = HEADS.get(name.rsplit(".", 1)[-1])
    if heads is None:
        return b
    return b.reshape(heads, 2, b.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(b.shape)


def convert(folder, out, alpha, half):
    config = json.load(open(os.path.join(folder, "adapter_config.json")))
    tensors = load_file(os.path.join(folder, "adapter_model.safetensors"))
    writer = GGUFWriter(out, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for key, a in sorted(tensors.items()):
        if not re.search(r"lora_(embedding_)?A", key):
            continue
        embedding = "embedding" in key
        module = re.sub(r"\.lora_.*", "", key.removeprefix("base_model.model."))
        b = tensors[key.replace("A", "B") if embedding else key.replace("lora_A", "lora_B")]
        r = a.shape[0]
        scale = pattern(config["alpha_pattern"], module, config["lora_alpha"]) / r
        own = alpha / r if alpha else 1.0
        name = gguf_name(module)
        b = permuted(b * np.float32(scale / own), name)
        dtype = np.float16 if half and name.endswith("ffn_up") else np.float32
        writer.add_tensor(f"{name}.weight.lora_a", np.ascontiguousarray(a.T if embedding else a).astype(dtype))
        writer.add_tensor(f"{name}.weight.lora_b", np.ascontiguousarray(b).astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


methods = sys.argv[1]
convert(os.path.join(methods, "llama_patterns"), os.path.join(methods, "llama_patterns.gguf"), 5.0, True)
convert(os.path.join(methods, "llama_embedding_head"), os.path.join(methods, "llama_embedding_head.gguf"), 0.0, False)
