#!/usr/bin/env python3
"""peft_methods.py OUT [CASE…]: what PEFT's methods and options do with the tiny families, as small files (torch, transformers, peft).

Per case OUT/methods/<family>_<case>/: the adapter as PEFT saves it, and expected.safetensors: log-probabilities at all
positions with the adapter, how far those of the merged model are from them (nothing where PEFT cannot merge), and of every
gradient its norm and its product with a fixed wave (wave()).
OUT/methods/curves.json: 10 steps of DoRA, LoRA+, PiSSA and OLoRA, each from a stored adapter or from the base alone, and
the keys and shapes that PEFT's conversion of PiSSA and OLoRA writes. All arithmetic is fp32 on the CPU. With names of
cases only those are made.
"""
import json, os, sys, tempfile, warnings
import numpy as np
import torch
from peft import IA3Config, LoraConfig, VeraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
FAMILIES = os.path.join(HERE, "..", "..", "tests", "golden", "families")
SEQUENCES = [[1, 30, 17, 42, 51, 8, 26, 9, 2], [1, 7, 40, 5, 12]]
LABELS = [[-100, -100, 17, 42, 51, 8, -100, 9, 2], [-100, -100, 40, 5, 12]]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS, BATCH, RATE = 10, 2, 5e-3


def lora(**options):
    return LoraConfig(task_type="CAUSAL_LM", **{"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "down_proj"], **options})


CASES = {
    "llama_plain": lora(target_modules=["q_proj", "v_proj"]),
    "qwen2_plain": lora(target_modules=["q_proj", "v_proj"]),
    "gemma2_plain": lora(target_modules=["q_proj", "v_proj"]),
    "llama_rslora": lora(use_rslora=True, r=3),
    "gemma2_rslora": lora(use_rslora=True, r=3),
    "llama_patterns": lora(r=3, lora_alpha=6, target_modules=ALL, rank_pattern={r"layers\.1\.self_attn\.q_proj": 2, "up_proj": 1},
                           alpha_pattern={"down_proj": 3, r"0\.self_attn\.[qk]_proj": 9}),
    "qwen2_patterns_rslora": lora(use_rslora=True, target_modules=["q_proj", "o_proj"], rank_pattern={"o_proj": 4},
                                  alpha_pattern={"model.layers.1.self_attn.o_proj": 5}),
    "gemma2_patterns": lora(target_modules=["q_proj", "up_proj"], rank_pattern={"up_proj": 3, r"0\.self_attn\.q_proj": 1},
                            alpha_pattern={"up_proj": 5}),
    "llama_layers": lora(layers_to_transform=[0], target_modules=["o_proj", "up_proj"]),
    "llama_exclude": lora(target_modules=["q_proj", "down_proj"], exclude_modules=["layers.0.mlp.down_proj"]),
    "qwen2_exclude": lora(target_modules=r".*\.(q|v)_proj", exclude_modules=["layers.1.self_attn.v_proj"]),
    "qwen2_layers": lora(layers_to_transform=[1], layers_pattern="layers"),
    "gemma2_layer": lora(layers_to_transform=0, target_modules=["v_proj", "gate_proj"]),
    "gemma2_exclude": lora(target_modules="all-linear", exclude_modules=r".*(mlp|0\.self_attn)\..*"),
    "qwen2_bias_all": lora(bias="all"),
    "llama_bias_all": lora(bias="all", target_modules=["v_proj"]),
    "qwen2_bias_lora_only": lora(bias="lora_only", target_modules=["k_proj", "up_proj"]),
    "qwen2_lora_bias": lora(lora_bias=True, target_modules=["q_proj", "k_proj", "v_proj"], use_rslora=True),
    "llama_lora_bias": lora(lora_bias=True, target_modules=["q_proj", "down_proj"]),
    "gemma2_lora_bias": lora(lora_bias=True, target_modules=["v_proj", "up_proj"]),
    "qwen2_tied_embedding": lora(target_modules=["embed_tokens", "q_proj"], ensure_weight_tying=True),
    "gemma2_tied_head": lora(target_modules=["lm_head", "v_proj"], ensure_weight_tying=True),
    "qwen2_tied_saved": lora(target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True),
    "gemma2_tied_saved": lora(target_modules=["q_proj"], modules_to_save=["lm_head"], ensure_weight_tying=True),
    "llama_bias_lora_only": lora(bias="lora_only", target_modules=["q_proj", "up_proj"]),
    "gemma2_embedding": lora(target_modules=["embed_tokens", "q_proj"]),
    "qwen2_embedding": lora(target_modules=["embed_tokens", "v_proj"]),
    "gemma2_head": lora(target_modules=["lm_head", "q_proj"]),
    "llama_embedding_head": lora(target_modules=["embed_tokens", "lm_head"]),
    "qwen2_head": lora(target_modules=["lm_head", "v_proj"]),
    "gemma2_saved": lora(modules_to_save=["embed_tokens", "post_attention_layernorm"]),
    "llama_saved": lora(modules_to_save=["embed_tokens", "input_layernorm"]),
    "gemma2_saved_head": lora(modules_to_save=["lm_head", "model.norm"]),
    "qwen2_saved_linear": lora(modules_to_save=["k_proj"]),
    "qwen2_saved_head": lora(modules_to_save=["lm_head", "model.norm"]),
    "llama_saved_linear": lora(modules_to_save=["k_proj", "lm_head"]),
    "qwen2_tokens": lora(trainable_token_indices=[42, 7, 9]),
    "llama_tokens": lora(trainable_token_indices=[42, 7]),
    "gemma2_tokens": lora(trainable_token_indices={"embed_tokens": [5]}),
    "llama_dora": lora(use_dora=True, target_modules=ALL),
    "qwen2_dora": lora(use_dora=True, use_rslora=True, target_modules=ALL, rank_pattern={"v_proj": 3}),
    "gemma2_dora": lora(use_dora=True, target_modules=["q_proj", "up_proj", "lm_head"]),
    "llama_vera": VeraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj", "down_proj"], projection_prng_key=5),
    "qwen2_vera_unsaved": VeraConfig(task_type="CAUSAL_LM", r=4, target_modules=ALL, save_projection=False),
    "gemma2_vera": VeraConfig(task_type="CAUSAL_LM", r=3, target_modules=["o_proj", "up_proj"], bias="vera_only"),
    "llama_ia3": IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "qwen2_ia3": IA3Config(task_type="CAUSAL_LM", target_modules=["q_proj", "k_proj", "up_proj", "gate_proj"],
                           feedforward_modules=["gate_proj"]),
    "gemma2_ia3": IA3Config(task_type="CAUSAL_LM", target_modules=["v_proj", "o_proj", "down_proj"], feedforward_modules=["down_proj"]),
}


def base(family, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(os.path.join(FAMILIES, family), dtype=dtype, attn_implementation="eager")


def loss_of(model, rows):
    """Mean over the target tokens of all rows, each run alone."""
    total, count = 0.0, 0
    for ids, labels in rows:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, :-1].float()
        targets = torch.tensor(labels[1:])
        total = total + torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
        count += int((targets != -100).sum())
    return total / count


@torch.no_grad()
def log_probs(model):
    return torch.cat([model.eval()(torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1) for ids in SEQUENCES])


def wave(gradient):
    flat = gradient.double().flatten()
    return torch.stack([flat.norm(), (flat * torch.cos(torch.arange(len(flat), dtype=torch.float64))).sum()])


def disturb(model):
    """Away from the initial values, so that every trained tensor matters."""
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        with torch.no_grad():
            if "lora_magnitude" in name or "ia3_l" in name:
                p.mul_(1 + 0.2 * torch.randn_like(p))
            elif "lora_A" in name:
                pass
            else:
                p.add_(0.1 * torch.randn_like(p))


def save(model, folder, family):
    """As PEFT saves it, but without the model card and this machine's path of the base."""
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["base_model_name_or_path"] = family
    for key, value in config.items():  # sets come in any order
        if key in ("target_modules", "exclude_modules", "feedforward_modules") and isinstance(value, list):
            config[key] = sorted(value)
    json.dump(config, open(path, "w"), indent=1, sort_keys=True)


def stored_name(name):
    """The key that the parameter has in a file."""
    return name.replace(".modules_to_save.default", "").replace(".default", "").replace("lora_magnitude_vector.weight",
                                                                                       "lora_magnitude_vector")


def sum_tied_gradients(model):
    """Where PEFT ties the head's factors to the embedding's, each copy gets the gradient of its own use: the one matrix has both."""
    parts = dict(model.named_parameters())
    for key in [k for k in parts if "lm_head.lora_" in k]:
        own = "lora_embedding_B" if "lora_A" in key else "lora_embedding_A"
        embedding = next(p for k, p in parts.items() if "embed_tokens." + own in k)
        assert torch.equal(embedding, parts[key].T)
        embedding.grad += parts[key].grad.T
        parts[key].grad = None


def make_case(name, config, out):
    family = name.split("_")[0]
    torch.manual_seed(11)
    model = get_peft_model(base(family), config)
    disturb(model)
    folder = os.path.join(out, name)
    save(model, folder, family)
    expected = {"log_probs": log_probs(model)}
    loss = loss_of(model, list(zip(SEQUENCES, LABELS)))
    loss.backward()
    if getattr(config, "ensure_weight_tying", False):
        sum_tied_gradients(model)
    expected["loss"] = loss.detach().reshape(1)
    for key, p in model.named_parameters():
        if p.requires_grad and p.grad is not None:
            expected["grad." + stored_name(key)] = wave(p.grad)
    try:
        gap = float((log_probs(model.merge_and_unload()) - expected["log_probs"]).abs().max())
        expected["merged_gap"] = torch.tensor([gap])
    except RuntimeError as error:  # a bias on B where the base has none
        gap = float("nan")
        print(name, error)
    save_file({k: v.contiguous().clone() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    print(f"{name}: {sum(k.startswith('grad.') for k in expected)} gradients, merged differs by {gap:.1e}")


def curve_rows():
    generator = np.random.default_rng(3)
    rows = []
    for _ in range(STEPS * BATCH):
        length = int(generator.integers(6, 20))
        ids = [1] + [int(t) for t in generator.integers(3, 64, length - 1)]
        learned = int(generator.integers(1, length))
        rows.append((ids, [-100] * learned + ids[learned:]))
    return rows


def train(model, optimizer, rows):
    losses, norms = [], []
    parameters = [p for p in model.parameters() if p.requires_grad]
    for step in range(STEPS):
        loss = loss_of(model, rows[step * BATCH:(step + 1) * BATCH])
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, 1.0)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return {"losses": losses, "grad_norms": norms}


def adamw(model):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.01)


def loraplus(model):
    return create_loraplus_optimizer(model, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=8.0, loraplus_weight_decay=0.01,
                                     loraplus_lr_embedding=2e-3)


def tensors_of(folder):
    with safe_open(os.path.join(folder, "adapter_model.safetensors"), "pt") as file:
        return {key: list(file.get_slice(key).get_shape()) for key in file.keys()}


def make_curves(out):
    rows = curve_rows()
    result = {"rows": [{"input_ids": i, "labels": l} for i, l in rows], "batch": BATCH, "learning_rate": RATE, "weight_decay": 0.01,
              "loraplus_lr_ratio": 8.0, "loraplus_lr_embedding": 2e-3, "curves": {}}
    stored = {"llama_dora": (lora(use_dora=True, target_modules=ALL), adamw), "qwen2_dora": (lora(use_dora=True), adamw),
              "llama_loraplus": (lora(target_modules=["embed_tokens", "q_proj", "up_proj"], use_dora=False), loraplus),
              "qwen2_loraplus_dora": (lora(use_dora=True), loraplus), "gemma2_loraplus": (lora(target_modules=ALL), loraplus)}
    for name, (config, optimizer) in stored.items():
        family = name.split("_")[0]
        torch.manual_seed(7)
        model = get_peft_model(base(family), config)
        save(model, os.path.join(out, "curve_" + name), family)
        result["curves"][name] = train(model, optimizer(model), rows)
    derived = {"llama_pissa": dict(init_lora_weights="pissa", target_modules=ALL),
               "qwen2_pissa_rslora": dict(init_lora_weights="pissa", use_rslora=True, r=4, lora_alpha=3),
               "gemma2_olora": dict(init_lora_weights="olora", target_modules=ALL, lora_alpha=2),
               "llama_olora_pattern": dict(init_lora_weights="olora", rank_pattern={"q_proj": 3}, alpha_pattern={"down_proj": 1})}
    for name, options in derived.items():
        family = name.split("_")[0]
        model = get_peft_model(base(family), lora(**options))
        with tempfile.TemporaryDirectory() as initial:
            # Its conversion wants the initial adapter, saved with an initialisation that leaves the base alone.
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(initial)
            model.peft_config["default"].init_lora_weights = options["init_lora_weights"]
            curve = train(model, adamw(model), rows)
            curve["log_probs"] = [round(float(x), 6) for x in log_probs(model)[::3, ::7].flatten()]
            try:
                converted = os.path.join(initial, "converted")
                model.save_pretrained(converted, path_initial_model_for_weight_conversion=initial)
                curve["tensors"] = tensors_of(converted)
                config = json.load(open(os.path.join(converted, "adapter_config.json")))
                curve["config"] = {k: config[k] for k in ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "init_lora_weights", "use_rslora")}
            except ValueError as error:  # not for every combination
                print(name, error)
        result["curves"][name] = {**curve, "options": options}
    json.dump(result, open(os.path.join(out, "curves.json"), "w"), separators=(",", ":"))
    print({name: curve["losses"] for name, curve in result["curves"].items()})


def main():
    out = os.path.join(sys.argv[1], "methods")
    os.makedirs(out, exist_ok=True)
    for name in sys.argv[2:] or CASES:
        make_case(name, CASES[name], out)
    if not sys.argv[2:]:
        make_curves(out)


if __name__ == "__main__":
    main()
