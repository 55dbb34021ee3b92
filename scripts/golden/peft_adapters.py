#!/usr/bin/env python3
"""peft_adapters.py OUT [--gguf FILE --rows ROWS.jsonl]: what PEFT does with the tiny Llama, as small files (torch, transformers, peft).

Per adapter configuration OUT/<name>/: the adapter as PEFT saves it, and expected.safetensors: log-probabilities at
chosen positions with the adapter and merged, the gradient of every factor. OUT/curve/: 20 optimizer steps from a stored
adapter. With --gguf: OUT/smollm2_curve.json, 20 steps of the real base from factors that a formula makes (factor()).
All arithmetic is fp32 on the CPU.
"""
import argparse, json, math, os
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "..", "..", "tests", "golden", "tiny_llama")
SEQUENCES = [[1, 300, 17, 42, 511, 88, 260, 9, 2], [1, 77, 400, 5, 123]]
LABELS = [[-100, -100, -100, 42, 511, 88, -100, 9, 2], [-100, -100, 400, 5, 123]]
POSITIONS = [(0, 4), (0, 8), (1, 4)]
CONFIGS = {
    "plain": dict(r=4, lora_alpha=8, target_modules="all-linear"),
    "rslora": dict(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"]),
    "subset": dict(r=3, lora_alpha=4.5, target_modules=["layers.1.self_attn.k_proj", "gate_proj", "o_proj"],
                   exclude_modules=["layers.0.mlp.gate_proj"]),
    "regex": dict(r=2, lora_alpha=2, target_modules=r".*\.layers\.(0|1)\.(self_attn\.[qk]_proj|mlp\.up_proj)",
                  exclude_modules=r".*\.1\.self_attn\.q_proj"),
}
STEPS, BATCH = 20, 4


def base():
    return AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32, attn_implementation="eager")


def loss_of(model, rows, divisor):
    """Sum of the token losses of the rows, each run alone, over divisor."""
    total = 0.0
    for ids, labels in rows:
        logits = model(torch.tensor([ids])).logits[0, :-1].float()
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(labels[1:]), ignore_index=-100, reduction="sum")
    return total / divisor


def targets_of(rows):
    return sum(label != -100 for _, labels in rows for label in labels[1:])


def log_probs(model):
    with torch.no_grad():
        return torch.stack([model(torch.tensor([SEQUENCES[s]])).logits[0, p].log_softmax(-1) for s, p in POSITIONS])


def plain_name(name):
    return name.replace(".default.", ".")


def save(model, folder):
    """As PEFT saves it, but without the model card and this machine's path of the base."""
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["base_model_name_or_path"] = "tiny_llama"
    json.dump(config, open(path, "w"), indent=2)


def make_config(name, out):
    torch.manual_seed(11)
    model = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **CONFIGS[name]))
    for key, p in model.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(p, std=0.05)
    folder = os.path.join(out, name)
    save(model, folder)
    expected = {"log_probs": log_probs(model)}
    rows = list(zip(SEQUENCES, LABELS))
    loss = loss_of(model, rows, targets_of(rows))
    loss.backward()
    expected["loss"] = loss.detach().reshape(1)
    for key, p in model.named_parameters():
        if p.requires_grad:
            expected["grad." + plain_name(key)] = p.grad.clone()
    merged = model.merge_and_unload()
    expected["merged_log_probs"] = log_probs(merged)
    state = merged.state_dict()
    expected["merged_rows"] = torch.cat([state[f"model.layers.{n}.{m}.weight"][:2].flatten() for n in (0, 1)
                                         for m in ("self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj", "mlp.down_proj")])
    save_file(expected, os.path.join(folder, "expected.safetensors"))


def train(model, rows, learning_rate):
    """Plain AdamW over the adapters, gradients over the target tokens of the step, clipped at 1."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses, norms = [], []
    for step in range(STEPS):
        batch = rows[step * BATCH:(step + 1) * BATCH]
        loss = loss_of(model, batch, targets_of(batch))
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, 1.0)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return losses, norms


def make_curve(out):
    folder = os.path.join(out, "curve")
    torch.manual_seed(5)
    model = get_peft_model(base(), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    generator = np.random.default_rng(3)
    rows = []
    for _ in range(STEPS * BATCH):
        length = int(generator.integers(6, 30))
        ids = [1] + [int(t) for t in generator.integers(3, 512, length - 1)]
        learned = int(generator.integers(1, length))
        rows.append((ids, [-100] * learned + ids[learned:]))
    save(model, os.path.join(folder, "initial"))
    losses, norms = train(model, rows, 5e-3)
    save(model, os.path.join(folder, "final"))
    json.dump({"losses": losses, "grad_norms": norms, "learning_rate": 5e-3, "weight_decay": 0.01, "batch": BATCH,
               "rows": [{"input_ids": i, "labels": l} for i, l in rows]}, open(os.path.join(folder, "curve.json"), "w"))
    print("curve", losses)


PATHS = ["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.my_q_proj", "model.layers.1.mlp.gate_proj",
         "model.layers.11.mlp.up_proj", "model.layers.1.mlp.up_proj", "q_proj", "lm_head"]
SCOPED_RULES = [dict(target_modules=["up_proj", "q_proj"], layers_to_transform=[1]),
                dict(target_modules=["up_proj", "q_proj", "lm_head"], layers_to_transform=[0, 11]),
                dict(target_modules=["up_proj", "gate_proj"], layers_to_transform=[1], layers_pattern=["layers"]),
                dict(target_modules=["up_proj", "gate_proj"], layers_to_transform=[1], layers_pattern=["blocks"]),
                dict(target_modules=["up_proj", "gate_proj"], layers_to_transform=[1], layers_pattern=["h", "layers"]),
                dict(target_modules=["up_proj", "q_proj"], modules_to_save=["q_proj"]),
                dict(target_modules=["up_proj", "q_proj", "lm_head"], modules_to_save=["mlp", "head"]),
                dict(target_modules=["up_proj", "q_proj", "gate_proj"], modules_to_save=[r"layers\.1"])]
PATTERN_KEYS = [["q_proj"], ["proj"], [r".*proj", "q_proj"], [r"1\.mlp\.up_proj", "up_proj"], ["up_proj", r"1\.mlp\.up_proj"],
                [r"layers\.\d+\.mlp\..*", "model.layers.0.self_attn.q_proj"], ["q_proj|up_proj"], ["^q_proj"]]
RULES = [(["q_proj"], None), (["self_attn.q_proj"], None), (["proj"], None), (["1.mlp.up_proj"], None), (["lm_head", "up_proj"], None),
         (["model.layers.1.mlp.up_proj"], None), (["q_proj", "up_proj"], ["layers.1.mlp.up_proj"]), ([".*"], None),
         (r".*proj", None), (r"q_proj", None), (r".*\.(q|up)_proj$", None), (r"model\.layers\.\d\..*", None),
         (r"(?P<all>.*)\.(?:gate|up)_proj", None), (r".*(?<!my_)q_proj", None), (r"(?i).*Q_PROJ", None),
         (r".*\.([01]|1[0-9])\..*", r".*up_proj"), (r"model|model\.layers.*", ["q_proj"]), (r"[^.]+", None),
         (r"(?!.*gate).*mlp.*", None), (r".*_proj\Z", r"^$")]


def make_matching(out):
    """Which paths PEFT's own rule picks."""
    cases = []
    for targets, excluded in RULES:
        config = LoraConfig(target_modules=targets, exclude_modules=excluded)
        config.target_modules = targets
        matched = [path for path in PATHS if check_target_module_exists(config, path)]
        cases.append({"target_modules": targets, "exclude_modules": excluded, "matched": matched})
    for rule in SCOPED_RULES:
        config = LoraConfig(**{**rule, "target_modules": ["x"]})
        config.target_modules = rule["target_modules"]
        matched = [path for path in PATHS if check_target_module_exists(config, path)]
        cases.append({"exclude_modules": None, **rule, "matched": matched})
    patterns = []
    for keys in PATTERN_KEYS:
        chosen = {path: get_pattern_key(keys, path) for path in PATHS}
        patterns.append({"keys": keys, "chosen": {path: key if key in keys and key != path or path in keys else None
                                                  for path, key in chosen.items()}})
    json.dump({"paths": PATHS, "cases": cases, "patterns": patterns}, open(os.path.join(out, "matching.json"), "w"), indent=1)


def factor(module_index, shape, bound):
    """The initial A of the real curve: splitmix64 of (module_index << 32) + element, 24 bits of it, in [-bound, bound)."""
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = (np.uint64(module_index) << np.uint64(32)) + np.arange(n, dtype=np.uint64)
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    unit = (x >> np.uint64(40)).astype(np.float64) / float(1 << 24)
    return torch.from_numpy(((2.0 * unit - 1.0) * bound).astype(np.float32).reshape(shape))


def make_real_curve(out, gguf, rows_file):
    folder, name = os.path.split(os.path.abspath(gguf))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager")
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=modules, task_type="CAUSAL_LM"))
    names = sorted(n for n, p in model.named_parameters() if "lora_A" in n)
    parameters = dict(model.named_parameters())
    for index, key in enumerate(names):
        p = parameters[key]
        p.data = factor(index, tuple(p.shape), 1 / math.sqrt(p.shape[1]))
    rows = []
    for line in open(rows_file):  # a window around the start of the answer: short, so that the test is
        row = json.loads(line)
        first = next((i for i, label in enumerate(row["labels"]) if label != -100), 0)
        window = slice(max(0, first - 20), first + 28)
        ids, labels = row["input_ids"][window], row["labels"][window]
        if sum(label != -100 for label in labels) >= 16:
            rows.append((ids, labels))
    rows = rows[:STEPS * BATCH]
    assert len(rows) == STEPS * BATCH
    losses, norms = train(model, rows, 5e-4)
    json.dump({"losses": losses, "grad_norms": norms, "learning_rate": 5e-4, "weight_decay": 0.01, "batch": BATCH, "r": 8, "alpha": 16,
               "rows": [{"input_ids": i, "labels": l} for i, l in rows]},
              open(os.path.join(out, "smollm2_curve.json"), "w"), separators=(",", ":"))
    print("smollm2", losses, norms, sum(len(i) for i, _ in rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--gguf")
    parser.add_argument("--rows")
    parser.add_argument("--matching", action="store_true", help="matching.json alone")
    a = parser.parse_args()
    if a.gguf:
        return make_real_curve(a.out, a.gguf, a.rows)
    make_matching(a.out)
    if a.matching:
        return None
    for name in CONFIGS:
        make_config(name, a.out)
    make_curve(a.out)


main()
