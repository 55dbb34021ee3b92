#!/usr/bin/env python3
"""families.py OUT [NAME…]: what transformers and PEFT compute for a tiny model of every family.

OUT  tests/golden/families

Per family OUT/NAME/ holds
  config.json, model.safetensors   a random model from a fixed seed, bf16, with the family's switches on
  adapter/                         a PEFT adapter on all linears, B not zero
  expected.safetensors             in fp32 with the adapter: log-probabilities of two sequences, the loss, the gradient of
                                   every A and B, and 16 greedy tokens, each from the whole sequence anew
and OUT/rope.json the angles of rotary embedding of every type of scaling.
"""
import gc, json, os, shutil, sys
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GraniteConfig, LlamaConfig, MistralConfig,
                          Olmo2Config, Phi3Config, Qwen2Config, Qwen3Config, SmolLM3Config)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SHAPE = dict(vocab_size=64, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LENGTHS = (40, 7)
GREEDY = 16
PROMPT = [1, 17, 42, 9, 33]
MARGIN = 2e-3


def rope(kind, theta=10000.0, **more):
    return dict(rope_type=kind, rope_theta=theta, **more)


FAMILIES = {
    "llama": (LlamaConfig, dict(head_dim=16, attention_bias=True, mlp_bias=True, rope_parameters=rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))),
    "mistral": (MistralConfig, dict(head_dim=16, sliding_window=6, rope_parameters=rope("linear", factor=2.0))),
    "qwen2": (Qwen2Config, dict(use_sliding_window=True, sliding_window=6, max_window_layers=1, tie_word_embeddings=True,
                                rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16))),
    "qwen3": (Qwen3Config, dict(head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=6,
                                layer_types=["sliding_attention", "full_attention"], rope_parameters=rope("default", 1e6))),
    "smollm3": (SmolLM3Config, dict(no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6, attention_bias=True,
                                    mlp_bias=True, rope_parameters=rope("default", 5e6))),
    "gemma2": (Gemma2Config, dict(head_dim=16, sliding_window=6, attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
                                  query_pre_attn_scalar=24, attention_bias=True, rope_parameters=rope("default"))),
    "gemma3": (Gemma3TextConfig, dict(head_dim=16, sliding_window=6, query_pre_attn_scalar=24, attention_bias=True,
                                      final_logit_softcapping=5.0, layer_types=["sliding_attention", "full_attention"],
                                      rope_parameters={"sliding_attention": rope("default"),
                                                       "full_attention": rope("linear", 1e6, factor=8.0)})),
    "phi3": (Phi3Config, dict(sliding_window=6, max_position_embeddings=64, original_max_position_embeddings=16,
                              rope_parameters=rope("longrope", partial_rotary_factor=0.75, short_factor=[1.0, 1.1, 1.3],
                                                   long_factor=[1.2, 2.5, 6.0]))),
    "olmo2": (Olmo2Config, dict(attention_bias=True, rope_parameters=rope("dynamic", 5e5, factor=2.0))),
    "granite": (GraniteConfig, dict(attention_bias=True, mlp_bias=True, embedding_multiplier=3.0, residual_multiplier=0.7,
                                    attention_multiplier=0.2, logits_scaling=2.5, tie_word_embeddings=True,
                                    rope_parameters=rope("default"))),
}


def sequences():
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, SHAPE["vocab_size"], (n,), generator=generator).tolist() for n in LENGTHS]


def make_model(config_class, switches, seed):
    torch.manual_seed(seed)
    config = config_class(**{**SHAPE, **switches})
    model = AutoModelForCausalLM.from_config(config)
    plus_one = "gemma" in config.model_type
    for name, p in model.named_parameters():
        mean, std = (0.0 if plus_one else 1.0, 0.2) if "norm" in name else (0.0, 0.6) if "embed" in name else (0.0, 0.2)
        torch.nn.init.normal_(p, mean=mean, std=std)
    return model.to(torch.bfloat16)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0].float()


@torch.no_grad()
def greedy(model):
    ids, margin = list(PROMPT), 1e9
    for _ in range(GREEDY):
        best = logits(model, ids)[-1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        ids.append(int(best.indices[0]))
    return ids[len(PROMPT):], margin


def adapted(folder):
    model = get_peft_model(load(folder), LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    generator = torch.Generator().manual_seed(5)
    for name, p in sorted(model.named_parameters()):
        if "lora_" in name:
            p.data = torch.randn(p.shape, generator=generator) * 0.15
    return model


def expected(folder):
    """Sequences grow, for a model with dynamic scaling keeps the angles of the longest that it has seen."""
    tensors, model = {}, adapted(folder)
    first, second = sequences()
    tokens, margin = greedy(model)
    count, loss, rows = len(first) + len(second) - 2, 0.0, {}
    for ids in (second, first):
        rows[len(ids)] = logits(model, ids).log_softmax(-1)
        loss = loss - rows[len(ids)][:-1].gather(1, torch.tensor(ids[1:])[:, None]).sum() / count
    loss.backward()
    for name, p in model.named_parameters():
        if p.requires_grad:
            tensors["grad." + name.removeprefix("base_model.model.").replace(".default", "")] = p.grad
    tensors |= {"tokens": torch.tensor(first + second), "starts": torch.tensor([0, len(first), len(first) + len(second)]),
                "log_probs": torch.cat([rows[len(first)], rows[len(second)]]).detach(), "loss": loss.detach(),
                "prompt": torch.tensor(PROMPT), "greedy": torch.tensor(tokens)}
    return model, tensors, margin


def check_merged(model, tensors):
    """What merging changes is rounding; one golden serves both."""
    first, second = sequences()
    whole = model.merge_and_unload()
    with torch.no_grad():
        merged = torch.cat([logits(whole, ids).log_softmax(-1) for ids in (second, first)])
    want = tensors["log_probs"]
    difference = float((merged - torch.cat([want[len(first):], want[:len(first)]])).abs().max())
    assert difference < 2e-5, difference


def make_family(name, out):
    config_class, switches = FAMILIES[name]
    folder = f"{out}/{name}"
    for seed in range(11, 40):
        shutil.rmtree(folder, ignore_errors=True)
        make_model(config_class, switches, seed).save_pretrained(folder)
        if os.path.exists(f"{folder}/generation_config.json"):
            os.remove(f"{folder}/generation_config.json")
        model, tensors, margin = expected(folder)
        if margin > MARGIN:
            break
    model.save_pretrained(f"{folder}/adapter")
    os.remove(f"{folder}/adapter/README.md")
    path = f"{folder}/adapter/adapter_config.json"
    config = json.load(open(path)) | {"base_model_name_or_path": "", "target_modules": sorted(json.load(open(path))["target_modules"])}
    json.dump(config, open(path, "w"), indent=2)
    save_file({k: v.contiguous() for k, v in tensors.items()}, f"{folder}/expected.safetensors")
    check_merged(model, tensors)
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(folder) for f in files)
    print(f"{name}: seed {seed}, margin {margin:.4f}, loss {float(tensors['loss']):.4f}, {size} bytes", flush=True)


ROPES = [
    dict(rope_type="linear", factor=4.0), dict(rope_type="dynamic", factor=2.0),
    dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
    dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768),
    dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=4096, beta_fast=16, beta_slow=2, mscale=1.0,
         mscale_all_dim=0.7, truncate=False),
    dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=4096, attention_factor=1.25),
    dict(rope_type="longrope", factor=4.0, original_max_position_embeddings=4096, short_factor=[1.0 + i / 32 for i in range(32)],
         long_factor=[1.5 + i for i in range(32)]),
    dict(rope_type="longrope", original_max_position_embeddings=4096, short_factor=[1.0] * 32, long_factor=[2.0] * 32,
         attention_factor=1.5, factor=None),
]


def make_ropes(out):
    cases = []
    for parameters in ROPES:
        for theta in (10000.0, 500000.0):
            config = LlamaConfig(hidden_size=256, num_attention_heads=4, max_position_embeddings=8192,
                                 rope_parameters={**parameters, "rope_theta": theta})
            for length in (100, 8192, 9000):
                angles, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu", seq_len=length)
                given = {k: v for k, v in parameters.items() if v is not None}
                cases.append({"parameters": {**given, "rope_theta": theta}, "length": length,
                              "attention_factor": float(factor), "frequencies": [float(f"{a:.9g}") for a in angles.tolist()]})
    json.dump({"head_dim": 64, "max_position_embeddings": 8192, "cases": cases}, open(f"{out}/rope.json", "w"),
              separators=(",", ":"))


if __name__ == "__main__":
    target, names = sys.argv[1], sys.argv[2:]
    os.makedirs(target, exist_ok=True)
    if not names:
        make_ropes(target)
    for family in names or FAMILIES:
        make_family(family, target)
        gc.collect()
