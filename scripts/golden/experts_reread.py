#!/usr/bin/env python3
"""experts_reread.py PROGRAM GOLDEN: PEFT on transformers 5 loads adapters of experts that graft trained, and computes what graft does.

PROGRAM  build/graft
GOLDEN   tests/golden/families

Of each family with experts a few steps are trained with each of RECIPES (in a temporary folder, with a tokenizer of one word an id);
then the log-probabilities behind some rows, with the adapter, are compared with those of `graft score`.
"""
import json, os, random, shutil, subprocess, sys, tempfile, warnings
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

TOLERANCE = 1e-4
VOCABULARY = 64
RECIPES = {
    "all linears": "r: 4, alpha: 8",
    "with dropout": "r: 4, alpha: 8, dropout: 0.1",
    "rsLoRA": "r: 4, alpha: 8, use_rslora: true",
    "one block": "r: 4, alpha: 8, layers_to_transform: [0]",
    "ranks by name": "r: 4, alpha: 8, rank_pattern: {DOWN: 6}",
    "attention and experts": "r: 4, alpha: 8, target_modules: [q_proj, v_proj, GATE, UP, DOWN]",
    "by expression": "r: 4, alpha: 8, target_modules: '.*(q_proj|experts\\.\\d+\\.(GATE|UP|DOWN))'",
    "from what PEFT saved": "from: FAMILY/resaved",
}
NAMES = {"qwen3_moe": ("gate_proj", "up_proj", "down_proj"), "mixtral": ("w1", "w3", "w2")}


def make_base(folder, golden, name):
    base = f"{folder}/{name}"
    os.makedirs(base)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(f"{golden}/{name}/{file}", base)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, VOCABULARY)}
    json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
               "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
               "model": {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}}, open(f"{base}/tokenizer.json", "w"))
    return base


def write_rows(folder):
    generator = random.Random(1)
    rows = [[generator.randrange(3, VOCABULARY) for _ in range(20)] for _ in range(24)]
    with open(f"{folder}/rows.jsonl", "w") as f:
        f.writelines(json.dumps({"input_ids": row, "labels": row}) + "\n" for row in rows)
    return rows


def train(program, folder, base, lora):
    recipe = (f"version: 1\noutput_dir: {folder}/run\nmodel: {{path: {base}, dtype: fp32}}\nlora: {{{lora}}}\n"
              f"data: {{max_seq_len: 64, train: [{{path: {folder}/rows.jsonl}}]}}\n"
              "train: {epochs: 2, batch_size: 4}\noptim: {learning_rate: 2.0e-2}\n")
    open(f"{folder}/recipe.yaml", "w").write(recipe)
    subprocess.run([program, "train", f"{folder}/recipe.yaml", "--overwrite"], check=True, capture_output=True)
    return f"{folder}/run/adapter"


def scores(program, folder, base, *adapter):
    out = subprocess.run([program, "score", "--model", base, *adapter, "--top", str(VOCABULARY), "--dtype", "fp32", f"{folder}/rows.jsonl"],
                         check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return torch.tensor([[p for _, p in sorted(row["top"])] for row in rows if "row" in row])


@torch.no_grad()
def peft_scores(base, adapter, rows):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(model, adapter).eval()
    return torch.stack([model(torch.tensor([row]), use_cache=False).logits[0, -1].log_softmax(-1) for row in rows])


def main():
    failed = False
    program, golden = sys.argv[1], os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(folder)
        for name, leaves in NAMES.items():
            base = make_base(folder, golden, name)
            alone = scores(program, folder, base)
            for what, lora in RECIPES.items():
                for word, leaf in zip(("GATE", "UP", "DOWN"), leaves):
                    lora = lora.replace(word, leaf)
                adapter = train(program, folder, base, lora.replace("FAMILY", f"{golden}/{name}"))
                own = scores(program, folder, base, "--adapter", adapter)
                worst, effect = float((peft_scores(base, adapter, rows) - own).abs().max()), float((own - alone).abs().max())
                failed = failed or not (worst < TOLERANCE and effect > 1000 * TOLERANCE)
                print(f"{name}, {what}: {worst:.1e} (the adapter's own effect {effect:.1f})", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
