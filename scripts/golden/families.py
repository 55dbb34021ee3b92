#!/usr/bin/env python3
"""families.py OUT [NAME…]: what transformers and PEFT compute for a tiny model of every family.

OUT  tests/golden/families

Per family OUT/NAME/ holds (NAME with experts: the adapter has a pair of factors per expert, as PEFT on transformers 4 wrote them
and PEFT on transformers 5 reads them, into one pair for all experts of a block: its gradients are taken apart again)
  config.json, model.safetensors   a random model from a fixed seed, bf16, with the family's switches on
  adapter/                         a PEFT adapter on all linears, B not zero
  expected.safetensors             in fp32 with the adapter: log-probabilities of two sequences, the loss, the gradient of
                                   every A and B, and 16 greedy tokens, each from the whole sequence anew
and OUT/rope.json the angles of rotary embedding of every type of scaling.
"""
import gc, json, os, re, shutil, sys
import gguf, numpy, torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (AutoConfig, AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GraniteConfig, LlamaConfig, MistralConfig, MixtralConfig,
                          Olmo2Config, Phi3Config, Qwen2Config, Qwen3Config, Qwen3MoeConfig, SmolLM3Config)
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SHAPE = dict(vocab_size=64, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LENGTHS = (40, 7)
GREEDY = 16
PROMPT = [1, 17, 42, 9, 33]
MARGIN = 2e-3
ROUTING_MARGIN = 1e-4  # between the router's probability of the last expert that is chosen and the first that is not
RANK = 2
# Per model type, as files have it: the module with the experts; gate, up and down of an expert. The rest of a path is in ADAPTED, for linears and for fused parameters alike.
EXPERTS = {"qwen3_moe": ("mlp", "gate_proj", "up_proj", "down_proj"), "mixtral": ("block_sparse_moe", "w1", "w3", "w2")}
ADAPTED = r".*(self_attn\.[qkvo]_proj|\.gate|\.experts\..*({}))"


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
    "qwen3_moe": (Qwen3MoeConfig, dict(head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=6,
                                       num_hidden_layers=3, intermediate_size=64, moe_intermediate_size=32, num_experts=5,
                                       num_experts_per_tok=2, norm_topk_prob=True, mlp_only_layers=[1], rope_parameters=rope("default", 1e6))),
    "mixtral": (MixtralConfig, dict(head_dim=16, sliding_window=6, intermediate_size=32, num_local_experts=5,
                                    num_experts_per_tok=2, rope_parameters=rope("linear", 1e6, factor=2.0))),
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


def write_expert_adapter(folder, model_type):
    generator = torch.Generator().manual_seed(5)
    pattern, tensors = ADAPTED.format("|".join(EXPERTS[model_type][1:])), {}
    for key, weight in sorted(load_file(f"{folder}/model.safetensors").items()):
        module = key.removesuffix(".weight")
        if weight.dim() == 2 and re.fullmatch(pattern, module):
            for factor, shape in (("A", (RANK, weight.shape[1])), ("B", (weight.shape[0], RANK))):
                tensors[f"base_model.model.{module}.lora_{factor}.weight"] = torch.randn(shape, generator=generator) * 0.15
    os.makedirs(f"{folder}/adapter")
    save_file(tensors, f"{folder}/adapter/adapter_model.safetensors")
    LoraConfig(r=RANK, lora_alpha=4, target_modules=pattern, task_type="CAUSAL_LM").save_pretrained(f"{folder}/adapter")


def adapted(folder):
    model_type = json.load(open(f"{folder}/config.json"))["model_type"]
    if model_type in EXPERTS:
        write_expert_adapter(folder, model_type)
        return PeftModel.from_pretrained(load(folder), f"{folder}/adapter", is_trainable=True)
    model = get_peft_model(load(folder), LoraConfig(r=RANK, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    generator = torch.Generator().manual_seed(5)
    for name, p in sorted(model.named_parameters()):
        if "lora_" in name:
            p.data = torch.randn(p.shape, generator=generator) * 0.15
    return model


def parts_of(name, gradient, config):
    """The gradients of a pair of factors, under the names that the adapter's file has for them."""
    if config.model_type not in EXPERTS:
        return {name: gradient}
    module, gate, up, down = EXPERTS[config.model_type]
    name = name.replace(".mlp.", f".{module}.")
    if ".experts." not in name:
        return {name: gradient}
    inner, is_a, count = ".base_layer." in name, "lora_A" in name, config.num_local_experts
    path, factor = name.split(".base_layer." if inner else ".experts.")
    stem = path if inner else f"{path}.experts"
    rank = RANK * (2 if inner else 1)
    each = gradient.reshape(count, rank, -1) if is_a else gradient.reshape(-1, rank, count).permute(2, 0, 1)
    factor, parts = "lora_A.weight" if is_a else "lora_B.weight", {}
    for e, g in enumerate(each):
        if not inner:
            parts[f"{stem}.{e}.{down}.{factor}"] = g
            continue
        half = g.shape[0] // 2
        parts[f"{stem}.{e}.{gate}.{factor}"] = g[:RANK] if is_a else g[:half, :RANK]
        parts[f"{stem}.{e}.{up}.{factor}"] = g[RANK:] if is_a else g[half:, RANK:]
    return parts


def watch_routing(model):
    """A list that fills with the routing margins of every pass."""
    margins, config = [], model.config
    def note(module, _, output):
        best = output[0].float().softmax(-1).topk(config.num_experts_per_tok + 1).values
        margins.append(float((best[..., -2] - best[..., -1]).min()))
    for name, module in model.named_modules():
        if type(module).__name__.endswith("TopKRouter"):
            module.register_forward_hook(note)
    return margins


def expected(folder):
    """Sequences grow, for a model with dynamic scaling keeps the angles of the longest that it has seen."""
    tensors, model = {}, adapted(folder)
    routing = watch_routing(model)
    first, second = sequences()
    tokens, margin = greedy(model)
    count, loss, rows = len(first) + len(second) - 2, 0.0, {}
    for ids in (second, first):
        rows[len(ids)] = logits(model, ids).log_softmax(-1)
        loss = loss - rows[len(ids)][:-1].gather(1, torch.tensor(ids[1:])[:, None]).sum() / count
    loss.backward()
    for name, p in model.named_parameters():
        if p.requires_grad:
            plain = name.removeprefix("base_model.model.").replace(".default", "")
            tensors |= {f"grad.{key}": part for key, part in parts_of(plain, p.grad, model.config).items()}
    tensors |= {"tokens": torch.tensor(first + second), "starts": torch.tensor([0, len(first), len(first) + len(second)]),
                "log_probs": torch.cat([rows[len(first)], rows[len(second)]]).detach(), "loss": loss.detach(),
                "prompt": torch.tensor(PROMPT), "greedy": torch.tensor(tokens)}
    return model, tensors, margin if min(routing, default=1.0) > ROUTING_MARGIN else 0.0


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
    path = f"{folder}/adapter/adapter_config.json"
    if not os.path.exists(path):
        model.save_pretrained(f"{folder}/adapter")
        os.remove(f"{folder}/adapter/README.md")
    config = json.load(open(path)) | {"base_model_name_or_path": ""}
    if isinstance(config["target_modules"], list):
        config["target_modules"] = sorted(config["target_modules"])
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


GGUF_ARCH = {"qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE, "mixtral": gguf.MODEL_ARCH.LLAMA}


def make_expert_gguf(name, out):
    """The first block and the ends of a family as a GGUF file, experts in Q8_0, and OUT/NAME.gguf.safetensors: the log-probabilities
    of the first sequence, which transformers computes from the same numbers in fp32. The format has no word for windows and blocks
    without experts."""
    config = AutoConfig.from_pretrained(f"{out}/{name}", num_hidden_layers=1, use_sliding_window=False, sliding_window=None)
    arch = GGUF_ARCH[name]
    w = gguf.GGUFWriter(f"{out}/{name}.gguf", gguf.MODEL_ARCH_NAMES[arch])
    w.add_vocab_size(config.vocab_size)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(1)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(config.head_dim)
    w.add_value_length(config.head_dim)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if config.rope_parameters["rope_type"] != "default":
        w.add_rope_scaling_type(gguf.RopeScalingType(config.rope_parameters["rope_type"]))
        w.add_rope_scaling_factor(config.rope_parameters["factor"])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_expert_count(config.num_local_experts)
    w.add_expert_used_count(config.num_experts_per_tok)
    if hasattr(config, "moe_intermediate_size"):
        w.add_expert_feed_forward_length(config.moe_intermediate_size)
    names, kept, state = gguf.get_tensor_name_map(arch, 1), load_file(f"{out}/{name}/model.safetensors"), {}
    kept = {k: v for k, v in kept.items() if not re.match(r"model\.layers\.[1-9]", k)}
    stacks = {}
    for key, tensor in sorted(kept.items()):
        data = tensor.float().numpy()
        if match := re.fullmatch(r"(.*\.experts)\.(\d+)\.(.*)\.weight", key):
            stacks.setdefault(f"{match[1]}.{match[3]}", []).append((key, data))
            continue
        state[key] = tensor.float()
        kind = gguf.GGMLQuantizationType.BF16 if data.ndim == 2 and "gate" not in key else gguf.GGMLQuantizationType.F32
        if arch == gguf.MODEL_ARCH.LLAMA and ("q_proj" in key or "k_proj" in key):
            heads = config.num_attention_heads if "q_proj" in key else config.num_key_value_heads
            data = data.reshape(heads, 2, -1, *data.shape[1:]).swapaxes(1, 2).reshape(data.shape)
        target = names.get_name(key, try_suffixes=(".weight", ".bias"))
        w.add_tensor(target, gguf.quants.quantize(numpy.ascontiguousarray(data), kind), raw_dtype=kind)
    for path, experts in stacks.items():
        kind = gguf.GGMLQuantizationType.Q8_0
        blocks = gguf.quants.quantize(numpy.stack([data for _, data in experts]), kind)
        w.add_tensor(names.get_name(path) + ".weight", blocks, raw_dtype=kind)
        for (key, _), one in zip(experts, gguf.quants.dequantize(blocks, kind)):
            state[key] = torch.from_numpy(one.copy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    folder = f"{out}/{name}.decoded"
    config.save_pretrained(folder)
    save_file(state, f"{folder}/model.safetensors", metadata={"format": "pt"})
    with torch.no_grad():
        rows = logits(load(folder), sequences()[0]).log_softmax(-1)
    save_file({"tokens": torch.tensor(sequences()[0]), "log_probs": rows}, f"{out}/{name}.gguf.safetensors")
    shutil.rmtree(folder)


if __name__ == "__main__":
    target, names = sys.argv[1], sys.argv[2:]
    os.makedirs(target, exist_ok=True)
    if not names:
        make_ropes(target)
    for family in names or FAMILIES:
        make_family(family, target)
        if family in GGUF_ARCH:
            make_expert_gguf(family, target)
        gc.collect()
