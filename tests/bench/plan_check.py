#!/usr/bin/env python3
"""plan_check.py --graft PROGRAM --base BASE [--base BASE…] [--steps N] [--set key=value…] [--only NAME…]

What `graft plan` says beside what `graft train` then measures: peak memory and time of the steps, for recipes of different
size and policy. Prints a table with the ratios plan / measured, then one JSON line per recipe. Judges nothing.

Time: plan's seconds of training, against the run's at the pace of all steps but the first, which warms up. The probe is taken
before and after the run and its plans averaged, because machines are shared.
"""
import argparse, json, os, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHAT, LONG = os.path.join(HERE, "chat_rows.jsonl"), os.path.join(HERE, "rows_1024.jsonl")
# name, rows, overrides
RECIPES = [
    ("chat, none", CHAT, ["train.batch_size=8", "train.activation_checkpointing=none"]),
    ("1,024, none", LONG, ["train.batch_size=8", "train.activation_checkpointing=none"]),
    ("1,024, selective", LONG, ["train.batch_size=4", "train.activation_checkpointing=selective"]),
    ("1,024, full", LONG, ["train.batch_size=4", "train.activation_checkpointing=full"]),
    ("chat, 512 tokens, r 64", CHAT, ["train.batch_size=8", "train.micro_batch_tokens=512", "lora.r=64"]),
    ("1,024, q and v only, dropout", LONG,
     ["train.batch_size=2", "lora.target_modules=[q_proj, v_proj]", "lora.dropout=0.1"]),
]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def measure(args, base, rows, overrides):
    with tempfile.TemporaryDirectory() as folder:
        recipe, out = os.path.join(folder, "recipe.yaml"), os.path.join(folder, "run")
        with open(recipe, "w") as f:
            json.dump({"version": 1, "seed": 1, "output_dir": out, "model": {"path": os.path.abspath(base)},
                       "data": {"shuffle": False, "train": [{"path": rows}]}, "train": {"max_steps": args.steps},
                       "checkpoint": {"every_steps": 100000}}, f)
        words = [recipe, *overrides, *args.set]
        before = json.loads(run([args.graft, "plan", *words, "--json"]))
        run([args.graft, "train", *words])
        after = json.loads(run([args.graft, "plan", *words, "--json"]))
        with open(os.path.join(out, "run.json")) as f:
            result = json.load(f)["result"]
        with open(os.path.join(out, "metrics.jsonl")) as f:
            steps = [line for line in map(json.loads, f) if "tokens_per_second" in line][1:]
    pace = sum(s["tokens"] / s["tokens_per_second"] for s in steps) / sum(s["tokens"] for s in steps)
    planned = (before["seconds"]["training"] + after["seconds"]["training"]) / 2
    return {"planned_bytes": before["peak_bytes"], "measured_bytes": result["peak_rss_bytes"],
            "bytes_ratio": before["peak_bytes"] / result["peak_rss_bytes"],
            "planned_seconds": planned, "measured_seconds": pace * before["tokens"],
            "seconds_ratio": planned / (pace * before["tokens"]),
            "gemm_tflops": [before["gemm_flops_per_second"] / 1e12, after["gemm_flops_per_second"] / 1e12],
            "micro_batch_tokens": before["micro_batch_tokens"], "policy": before["activation_checkpointing"],
            "bytes": before["bytes"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--graft", required=True)
    parser.add_argument("--base", action="append", required=True, help="a base; may be given again")
    parser.add_argument("--steps", type=int, default=4, help="steps per recipe, at least 2")
    parser.add_argument("--set", nargs="+", default=[], metavar="key=value", help="for all recipes, e.g. model.dtype=fp32")
    parser.add_argument("--only", nargs="+", default=[], help="names of recipes")
    args = parser.parse_args()
    if args.steps < 2:
        parser.error("--steps: the first one does not count, so at least 2")
    reports = []
    print(f"{'recipe':32}{'plan':>10}{'measured':>10}{'ratio':>7}{'plan':>9}{'measured':>10}{'ratio':>7}")
    for base in args.base:
        print(base)
        for name, rows, overrides in RECIPES:
            if args.only and name not in args.only:
                continue
            report = {"base": os.path.basename(base), "recipe": name, **measure(args, base, rows, overrides)}
            reports.append(report)
            print(f"{name:32}{report['planned_bytes'] / 1e9:7.2f} GB{report['measured_bytes'] / 1e9:7.2f} GB"
                  f"{report['bytes_ratio']:7.2f}{report['planned_seconds']:7.1f} s{report['measured_seconds']:8.1f} s"
                  f"{report['seconds_ratio']:7.2f}", flush=True)
    for report in reports:
        print(json.dumps(report))


main()
