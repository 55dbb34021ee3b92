"""Replays a golden.json in another engine: transformers + PEFT, or llama.cpp.

golden.json is what `graft train`, `export` and `merge` write beside an adapter: per prompt input_ids, and after each of them the
20 likeliest next tokens with their log-probabilities, with the adapter and without. Prints per prompt the largest difference,
KL and agreement of the first token, and exits 1 where the engine is further off than --within, or nearer to the bare base.

PEFT:       python tests/bench/replay_golden.py golden.json --base FOLDER [--adapter FOLDER] [--dtype bfloat16]
llama.cpp:  python tests/bench/replay_golden.py golden.json --gguf MODEL.gguf [--lora LORA.gguf]      (xllamacpp, PyPI)
"""

import argparse
import json
import math
import sys


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golden")
    parser.add_argument("--base", help="Hugging Face folder, for transformers")
    parser.add_argument("--adapter", help="PEFT folder on it; without one the base is a merged model")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--gguf", help="model for llama.cpp")
    parser.add_argument("--lora", help="GGUF LoRA on it")
    parser.add_argument("--within", type=float, default=1e-3, help="largest difference of log-probabilities")
    arguments = parser.parse_args()
    if bool(arguments.base) == bool(arguments.gguf):
        parser.error("want either --base or --gguf")
    return arguments


def peft_engine(arguments):
    """ids -> per position {id: log-probability} of all tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=getattr(torch, arguments.dtype), attn_implementation="eager")
    if arguments.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, arguments.adapter)
    model.eval()

    @torch.no_grad()
    def predict(ids):
        rows = model(torch.tensor([ids]), use_cache=False).logits[0].float().log_softmax(-1)
        return [dict(enumerate(row)) for row in rows.tolist()]

    return predict


def llama_engine(arguments):
    """The same of llama.cpp: of its 200 likeliest tokens after each beginning of the prompt."""
    from llama_server import llama_server

    server = llama_server(arguments.gguf, arguments.lora)

    def after(ids):
        reply = server.handle_completions({"prompt": ids, "max_tokens": 1, "temperature": 0.0, "logprobs": 200, "cache_prompt": False})
        # Nothing where the next token is an end or a part of a character.
        said = (reply["choices"][0]["logprobs"] or {}).get("content")
        return {entry["id"]: entry["logprob"] for entry in said[0]["top_logprobs"]} if said else None

    return lambda ids: [after(ids[: t + 1]) for t in range(len(ids))]


def compare(prompt, predicted):
    """Sums over the positions of one prompt."""
    sums = {"positions": 0, "unsaid": 0, "largest": 0.0, "kl": 0.0, "same_first": 0, "missing": 0, "squares": 0.0, "base_squares": 0.0}
    rows = zip(prompt["top_ids"], prompt["top_logprobs"], prompt["base_logprobs"], predicted)
    for ids, wanted, of_base, got in rows:
        if got is None:
            sums["unsaid"] += 1
            continue
        seen = [(p, b, got[i]) for i, p, b in zip(ids, wanted, of_base) if i in got]
        sums["positions"] += 1
        sums["missing"] += len(ids) - len(seen)
        sums["same_first"] += max(got, key=got.get) == ids[0]
        sums["largest"] = max([sums["largest"], *(abs(p - q) for p, _, q in seen)])
        sums["squares"] += sum((p - q) ** 2 for p, _, q in seen)
        sums["base_squares"] += sum((b - q) ** 2 for _, b, q in seen)
        rest = max(1e-12, 1 - sum(math.exp(p) for p, _, _ in seen))
        other = max(1e-12, 1 - sum(math.exp(q) for _, _, q in seen))
        sums["kl"] += sum(math.exp(p) * (p - q) for p, _, q in seen) + rest * math.log(rest / other)
    return sums


def report(name, sums):
    positions = sums["positions"]
    print(json.dumps({name: sums["index"], "positions": positions, "largest_difference": sums["largest"],
                      "kl": sums["kl"] / positions, "top1_agreement": sums["same_first"] / positions, "missing": sums["missing"], "unsaid": sums["unsaid"]}))


def main():
    arguments = parse()
    with open(arguments.golden) as file:
        golden = json.load(file)
    if golden["version"] != 1:
        sys.exit(f"{arguments.golden}: version {golden['version']}, want 1")
    predict = (peft_engine if arguments.base else llama_engine)(arguments)
    total = {}
    for index, prompt in enumerate(golden["prompts"]):
        sums = compare(prompt, predict(prompt["input_ids"]))
        for key, value in sums.items():
            total[key] = max(total.get(key, 0), value) if key == "largest" else total.get(key, 0) + value
        report("prompt", {**sums, "index": index})
    report("prompts", {**total, "index": len(golden["prompts"])})
    if total["squares"] > total["base_squares"]:
        sys.exit("nearer to the base without the adapter: the engine did not apply it")
    if not total["largest"] <= arguments.within or total["missing"]:
        sys.exit(f"differs by {total['largest']:.2g}, want at most {arguments.within:g}")


if __name__ == "__main__":
    main()
