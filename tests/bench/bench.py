#!/usr/bin/env python3
"""bench.py --graft PROGRAM --probe PROGRAM --base GGUF [--python PYTHON_WITH_PEFT] [--rounds N] [--steps N]

Training speed of graft on token rows, beside the machine's own matrix rate measured in the same run, and beside PEFT on the
same rows where a Python with PEFT is given. Rounds alternate (graft, PEFT, graft, PEFT…) with a probe before and after each;
figures are medians. Prints a table, then one JSON line per workload.

tokens/s: tokens of the rows (there is no padding) / wall time of the steps after the first two.
share: FLOPs of the step (4 (N_lin + V d f_loss) + 6 P_lora per token, 7 L d_q sum(s^2) for attention) / time / probed rate.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH, RANK, WARM_UP = 8, 16, 2
LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 30, 576, 1536, 9, 3, 64, 49152  # SmolLM2-135M
LINEARS = [(WIDTH, HEADS * HEAD_DIM), (WIDTH, KV_HEADS * HEAD_DIM), (WIDTH, KV_HEADS * HEAD_DIM), (HEADS * HEAD_DIM, WIDTH),
           (WIDTH, FEED_FORWARD), (WIDTH, FEED_FORWARD), (FEED_FORWARD, WIDTH)]
RECIPE = """version: 1
seed: 1
output_dir: {out}
model: {{path: {base}}}
lora: {{r: 16, alpha: 32}}
data: {{shuffle: false, train: [{{path: {rows}}}]}}
train: {{max_steps: {steps}, batch_size: 8}}
schedule: {{name: constant, warmup_ratio: 0}}
checkpoint: {{every_steps: 100000}}
"""


def step_flops(rows):
    tokens = sum(len(r["input_ids"]) for r in rows)
    targets = sum(x != -100 for r in rows for x in r["labels"][1:])
    squares = sum(len(r["input_ids"]) ** 2 for r in rows)
    frozen = LAYERS * sum(i * o for i, o in LINEARS)
    lora = LAYERS * RANK * sum(i + o for i, o in LINEARS)
    return 4 * (frozen * tokens + VOCABULARY * WIDTH * targets) + 6 * lora * tokens + 7 * LAYERS * HEADS * HEAD_DIM * squares


def probe(args, tokens, targets):
    out = subprocess.run([args.probe, args.base, str(tokens), str(targets)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def run_graft(args, rows_file, steps):
    with tempfile.TemporaryDirectory() as folder:
        recipe = os.path.join(folder, "recipe.yaml")
        run = os.path.join(folder, "run")
        with open(recipe, "w") as f:
            f.write(RECIPE.format(out=run, base=os.path.abspath(args.base), rows=rows_file, steps=steps))
        subprocess.run([args.graft, "train", recipe], check=True, capture_output=True)
        metrics = [json.loads(line) for line in open(os.path.join(run, "metrics.jsonl"))]
        result = json.load(open(os.path.join(run, "run.json")))["result"]
    return {"seconds": [m["tokens"] / m["tokens_per_second"] for m in metrics], "losses": [m["loss"] for m in metrics],
            "peak_rss": result["peak_rss_bytes"], "first_step": result["first_step_seconds"]}


def run_peft(args, rows_file, steps):
    out = subprocess.run([args.python, os.path.join(HERE, "peft_peer.py"), "--model", args.peft_model, "--rows", rows_file,
                          "--steps", str(steps)], check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def figures(run, rows, steps, rate):
    chosen = [rows[i * BATCH:(i + 1) * BATCH] for i in range(WARM_UP, steps)]
    seconds = sum(run["seconds"][WARM_UP:steps])
    tokens = sum(len(r["input_ids"]) for step in chosen for r in step)
    targets = sum(x != -100 for step in chosen for r in step for x in r["labels"][1:])
    flops = sum(step_flops(step) for step in chosen)
    return {"tokens_per_second": tokens / seconds, "loss_tokens_per_second": targets / seconds,
            "share_of_gemm": flops / seconds / 1e12 / rate, "peak_rss_gb": run["peak_rss"] / 1e9,
            "first_step_seconds": run["first_step"]}


def median_of(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def first_step_of_512(args):
    row = {"input_ids": list(range(100, 612)), "labels": list(range(100, 612))}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write(json.dumps(row) + "\n")
        f.flush()
        run_graft(args, f.name, 1)
        return statistics.median(run_graft(args, f.name, 1)["first_step"] for _ in range(3))


def bench(args, name):
    rows_file = os.path.join(HERE, name + ".jsonl")
    rows = [json.loads(line) for line in open(rows_file)]
    steps = min(args.steps, len(rows) // BATCH)
    used = rows[WARM_UP * BATCH:steps * BATCH]
    mean_tokens = sum(len(r["input_ids"]) for r in used) * BATCH // len(used)
    mean_targets = sum(x != -100 for r in used for x in r["labels"][1:]) * BATCH // len(used)
    ours, theirs, ratios, rates = [], [], [], []
    for _ in range(args.rounds):
        before = probe(args, min(1024, mean_tokens), min(512, mean_targets))
        run = run_graft(args, rows_file, steps)
        after = probe(args, min(1024, mean_tokens), min(512, mean_targets))
        rate = (before["step_shapes_tflops"] + after["step_shapes_tflops"]) / 2
        rates.append({"step_shapes": rate, "large": (before["large_tflops"] + after["large_tflops"]) / 2})
        ours.append(figures(run, rows, steps, rate))
        if args.python:
            theirs.append(figures(run_peft(args, rows_file, steps), rows, steps, rate))
            ratios.append(ours[-1]["tokens_per_second"] / theirs[-1]["tokens_per_second"])
    report = {"workload": name, "steps": steps, "rounds": args.rounds, "gemm_tflops": median_of(rates), "graft": median_of(ours)}
    if theirs:
        report.update(peft=median_of(theirs), ratio=statistics.median(ratios))
    return report


def print_table(report):
    print(f"\n{report['workload']}: {report['steps']} steps of {BATCH} rows, median of {report['rounds']} rounds; "
          f"GEMM {report['gemm_tflops']['step_shapes']:.2f} TF at the step's shapes, {report['gemm_tflops']['large']:.2f} TF at 2048x2048x8192")
    print(f"{'':8}{'tok/s':>10}{'loss tok/s':>12}{'share of GEMM':>15}{'peak RSS':>11}{'first step':>12}")
    for side in ("graft", "peft"):
        if side in report:
            f = report[side]
            print(f"{side:8}{f['tokens_per_second']:10.0f}{f['loss_tokens_per_second']:12.0f}{f['share_of_gemm']:14.1%} "
                  f"{f['peak_rss_gb']:8.2f} GB{f['first_step_seconds']:10.2f} s")
    if "ratio" in report:
        print(f"graft / PEFT: {report['ratio']:.2f}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("graft", "probe", "base"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--python", help="a Python with torch, transformers and peft")
    parser.add_argument("--peft-model", help="the same base as a Hugging Face folder; made with graft convert if missing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--workloads", nargs="+", default=["chat_rows", "rows_1024"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.python and not args.peft_model:
            args.peft_model = os.path.join(folder, "base")
            subprocess.run([args.graft, "convert", "--model", args.base, "--out", args.peft_model], check=True, capture_output=True)
        reports = [bench(args, name) for name in args.workloads]
    for report in reports:
        print_table(report)
    print(f"\nexec to the end of a first step of 512 tokens: {first_step_of_512(args):.2f} s\n")
    for report in reports:
        print(json.dumps(report))


main()
