#!/usr/bin/env python3
"""families_gguf.py OUT [NAME…]: tiny models of every family as GGUF files, and what transformers computes for them.

OUT  tests/golden/families/gguf

Per model OUT/NAME.gguf (matrices BF16, vectors F32; tensor names and metadata keys are the gguf package's, orders and values
those of llama.cpp's converter) and OUT/NAME.safetensors: "log_probs" of two sequences in fp32 of the same weights. Switches are
those that GGUF files can say: llama.cpp knows no window in architecture llama, qwen2 or qwen3, and no dynamic scaling.
"""
import math, os, sys
import gguf, numpy, torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from families import FAMILIES, make_model, rope, sequences

LLAMA3 = dict(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
NO_WINDOW = dict(use_sliding_window=False, sliding_window=None)


def changed(family, **switches):
    config_class, given = FAMILIES[family]
    return config_class, given | switches


MODELS = {
    "llama": changed("llama", rope_parameters=rope("llama3", 5e5, factor=8.0, **LLAMA3)),
    # Scaling by factors that are not those of Meta's models.
    "llama_factors": changed("llama"),
    "mistral": changed("mistral", sliding_window=None),
    "qwen2": changed("qwen2", **NO_WINDOW),
    "qwen3": changed("qwen3", layer_types=None, **NO_WINDOW),
    "smollm3": changed("smollm3", num_hidden_layers=4, no_rope_layer_interval=4, **NO_WINDOW),
    "gemma2": changed("gemma2", query_pre_attn_scalar=16),
    "gemma3": changed("gemma3"),
    "phi3": changed("phi3"),
    "olmo2": changed("olmo2", rope_parameters=rope("linear", 5e5, factor=2.0)),
    "granite": changed("granite"),
}
PERMUTED = ("llama", "mistral", "smollm3", "granite")
GGUF_TYPE = {"mistral": "llama", "gemma3_text": "gemma3"}


def architecture(config):
    name = GGUF_TYPE.get(config.model_type, config.model_type)
    return next(arch for arch, said in gguf.MODEL_ARCH_NAMES.items() if said == name)


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def add_sizes(w, config):
    w.add_vocab_size(config.vocab_size)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_bos_token_id(config.bos_token_id)
    w.add_eos_token_id(config.eos_token_id)
    w.add_key_length(head_dim(config))
    w.add_value_length(head_dim(config))


def add_switches(w, config):
    if config.model_type in ("gemma2", "gemma3_text", "phi3"):
        w.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma2":
        w.add_attn_logit_softcapping(config.attn_logit_softcapping)
    if config.model_type == "gemma3_text":
        w.add_sliding_window_pattern(2)
        w.add_attention_scale(config.query_pre_attn_scalar ** -0.5)
    if config.model_type.startswith("gemma"):
        w.add_final_logit_softcapping(config.final_logit_softcapping)
    if config.model_type == "granite":
        w.add_attention_scale(config.attention_multiplier)
        w.add_embedding_scale(config.embedding_multiplier)
        w.add_residual_scale(config.residual_multiplier)
        w.add_logit_scale(config.logits_scaling)


def add_factors(w, name, values):
    w.add_tensor(name + ".weight", numpy.array(values, dtype=numpy.float32))


def add_rope(w, config):
    parameters = config.rope_parameters
    if config.model_type == "gemma3_text":
        parameters = parameters["full_attention"]
    kind, partial = parameters["rope_type"], parameters.get("partial_rotary_factor") or 1.0
    w.add_rope_freq_base(parameters["rope_theta"])
    w.add_rope_dimension_count(int(head_dim(config) * partial))
    if kind in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(kind))
        w.add_rope_scaling_factor(parameters["factor"])
    if kind == "yarn":
        w.add_rope_scaling_orig_ctx_len(parameters["original_max_position_embeddings"])
    if kind == "llama3":
        plain = parameters["rope_theta"] ** -(numpy.arange(0, head_dim(config), 2) / head_dim(config))
        add_factors(w, "rope_freqs", plain / ROPE_INIT_FUNCTIONS[kind](config, "cpu")[0].numpy())
    if kind == "longrope":
        original = config.original_max_position_embeddings
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(config.max_position_embeddings / original) / math.log(original)))
        add_factors(w, "rope_factors_long", parameters["long_factor"])
        add_factors(w, "rope_factors_short", parameters["short_factor"])


def in_pairs(rows, heads):
    """Rows of a head's two halves side by side, as ggml rotates them."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def stored(name, tensor, config):
    data = tensor.float().numpy()
    if config.model_type.startswith("gemma") and name.endswith("norm.weight"):
        return data + 1.0
    if config.model_type in PERMUTED and ".q_proj." in name:
        return in_pairs(data, config.num_attention_heads)
    if config.model_type in PERMUTED and ".k_proj." in name:
        return in_pairs(data, config.num_key_value_heads)
    return data


def add_weights(w, model):
    config = model.config
    names = gguf.get_tensor_name_map(architecture(config), config.num_hidden_layers)
    for key, tensor in sorted(model.state_dict().items()):
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data = numpy.ascontiguousarray(stored(key, tensor, config))
        target = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert target, key
        if data.ndim == 1:
            w.add_tensor(target, data)
        else:
            kind = gguf.GGMLQuantizationType.BF16
            w.add_tensor(target, gguf.quants.quantize(data, kind), raw_dtype=kind)


def write_gguf(model, path):
    w = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture(model.config)])
    add_sizes(w, model.config)
    add_switches(w, model.config)
    add_rope(w, model.config)
    add_weights(w, model)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@torch.no_grad()
def log_probs(made):
    """Of the same weights in a model that never was bf16, for its rotary frequencies would have been rounded. The short sequence
    first; see families.expected."""
    model = AutoModelForCausalLM.from_config(made.config, dtype=torch.float32, attn_implementation="eager").eval()
    model.load_state_dict(made.state_dict())
    rows = {len(ids): model(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1) for ids in reversed(sequences())}
    return torch.cat([rows[len(ids)] for ids in sequences()])


if __name__ == "__main__":
    target, wanted = sys.argv[1], sys.argv[2:]
    os.makedirs(target, exist_ok=True)
    for name in wanted or MODELS:
        made = make_model(*MODELS[name], seed=23)
        write_gguf(made, f"{target}/{name}.gguf")
        save_file({"log_probs": log_probs(made)}, f"{target}/{name}.safetensors")
        print(f"{name}: {os.path.getsize(f'{target}/{name}.gguf')} bytes", flush=True)
