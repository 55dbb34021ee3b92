#!/usr/bin/env python3
"""tools_reread.py PROGRAM GOLDEN: PEFT loads what graft's tools on adapter files write, and computes what graft does with it.

PROGRAM  build/graft
GOLDEN   tests/golden

Each tool works on each folder of peft/methods, on adapters of fused experts that PEFT saved (families/*/resaved, parameters), and on one
that graft trained on a base with experts. Where a tool refuses, its error is printed; else the log-probabilities behind a few rows are
compared with those of `graft score`.
"""
import json, os, shutil, subprocess, sys, tempfile
import torch

from experts_reread import make_base, peft_scores, train, write_rows

TOLERANCE = 1e-4
VOCABULARY = 64
TOOLS = {
    "inspect": None, "check": None, "diff": None,
    "cast": "adapter cast {a} --dtype f32 --out {o}",
    "rename": "adapter rename {a} --out {o}",
    "resize up": "adapter resize {a} --r 9 --out {o}",
    "resize down": "adapter resize {a} --r 1 --out {o}",
    "cat": "adapter combine {o} {a}:0.5 {a}:0.5 --method cat",
    "svd": "adapter combine {o} {a}:0.5 {a}:0.5 --method svd",
    "linear": "adapter combine {o} {a}:0.3 {a}:0.7 --method linear",
    "ties": "adapter combine {o} {a}:0.3 {a}:0.7 --method ties --density 0.7",
    "dare": "adapter combine {o} {a}:0.3 {a}:0.7 --method dare_linear_svd --density 0.7",
    "scale": "adapter combine {o} {a}:0.5 --method cat",
}
READ = {"inspect": "adapter inspect {a}", "check": "adapter check {a} --for peft", "diff": "adapter diff {a} {a}"}


def run(program, command, **words):
    return subprocess.run([program, *[part.format(**words) for part in command.split()]], capture_output=True, text=True)


def rows_of(folder):
    rows = [[1, 30, 17, 42, 51, 8, 26, 9, 2], [1, 7, 40, 5, 12]]
    with open(f"{folder}/rows.jsonl", "w") as file:
        file.writelines(json.dumps({"input_ids": row}) + "\n" for row in rows)
    return rows


def scores(program, folder, base, adapter):
    done = subprocess.run([program, "score", "--model", base, "--adapter", adapter, "--top", str(VOCABULARY), "--dtype", "fp32",
                           f"{folder}/rows.jsonl"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return torch.tensor([[p for _, p in sorted(row["top"])] for row in rows if "row" in row])


def cell(program, folder, base, adapter, tool, rows):
    out = f"{folder}/out"
    shutil.rmtree(out, ignore_errors=True)
    done = run(program, TOOLS[tool] or READ[tool], a=adapter, o=out)
    if tool in READ:
        return "works" if done.returncode in (0, 3) and "error" not in done.stderr else done.stderr.split("\n")[0], True
    if done.returncode:
        return done.stderr.split("\n")[0].replace(adapter + "/", ""), True
    worst = float((peft_scores(base, out, rows) - scores(program, folder, base, out)).abs().max())
    return f"{worst:.0e}", worst < TOLERANCE


def cases(program, golden, folder):
    methods = f"{golden}/peft/methods"
    for name in sorted(os.listdir(methods)):
        if os.path.isfile(f"{methods}/{name}/expected.safetensors"):
            yield name, f"{golden}/families/{name.split('_')[0]}", f"{methods}/{name}"
    for family in ("qwen3_moe", "mixtral"):
        for adapter in ("resaved", "parameters"):
            yield f"{family}/{adapter}", f"{golden}/families/{family}", f"{golden}/families/{family}/{adapter}"
        base = make_base(folder, f"{golden}/families", family)
        write_rows(folder)
        trained = train(program, folder, base, "r: 4, alpha: 8, use_rslora: true")
        rows_of(folder)
        kept = shutil.copytree(trained, f"{folder}/trained_{family}")
        yield f"{family}, trained by graft", base, kept


def main():
    program, golden = sys.argv[1], os.path.abspath(sys.argv[2])
    only = sys.argv[3:]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_of(folder)
        for name, base, adapter in cases(program, golden, folder):
            if only and not any(word in name for word in only):
                continue
            for tool in TOOLS:
                text, good = cell(program, folder, base, adapter, tool, rows)
                failed = failed or not good
                print(f"{name} | {tool} | {text}", flush=True)
    sys.exit(failed)


main()
