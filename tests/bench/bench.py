#!/usr/bin/env python3
"""Training speed of graft on files of token rows, beside the machine's own matrix rate and beside PEFT, in one run.

A round runs every side once, in turn (A B A B ...), with a GEMM probe before and after each; a run whose two probes differ
by more than 10 % is not steady and counts only where no run is. Figures are medians: over the measured steps of a run, then
over rounds.

  tok/s       tokens of the rows (graft has no padding; a peer's padding does not count) / wall time of a step
  of GEMM     FLOPs that the step needs (nothing computed twice) / time / probed rate
  GEMM TF     at::linear and at::mm at the step's own shapes, weighted by FLOPs, probed before and after
  large TF    the same at 2048 x 2048 x 8192
  first step  from exec to the end of the first step

How to reproduce the numbers of results/: scripts/bench.sh --python PYTHON (torch 2.11, transformers 5, peft 0.21, trl 1;
tcmalloc for the compiled peer). Policies beside each other:
  scripts/bench.sh --set model.quantization=nf4 --set model.quantization=keep --set model.compute=int8
Memory at 2,048-token micro-steps:
  scripts/bench.sh --set train.micro_batch_tokens=2048,train.activation_checkpointing=none \\
                   --set train.micro_batch_tokens=2048,train.activation_checkpointing=full
"""
import argparse
import json
import os
import statistics
import tempfile

import results
import sides
import workload as workloads

HERE = os.path.dirname(os.path.abspath(__file__))
ATTENTION_LENGTHS = (128, 512, 2048, 8192)


class Probe:
    def __init__(self, program, base, tokens, targets, seconds):
        self.command = [program, base, str(tokens), str(targets), str(seconds)]

    def __call__(self):
        return json.loads(sides.run_process(self.command))


def steps_of(side, args, workload):
    steps = min(args.documented_steps if getattr(side, "mode", "") == "documented" else args.steps, workload.whole_steps())
    return range(min(args.warm_up, steps - 1), steps)


class Entrant:
    """A side in the rounds of one workload. One that fails is out of the later rounds, and its report says why."""

    def __init__(self, side, args, workload):
        self.side, self.steps, self.workload = side, steps_of(side, args, workload), workload
        self.runs, self.error = [], None

    def take_part(self, model, before, probe):
        """Runs once -> the probe after it."""
        try:
            run = self.side.run(self.workload, self.steps.stop)
        except sides.SideFailed as error:
            self.error = str(error)
            print(f"  {self.side.name}: {error}", flush=True)
            return before
        after = probe()
        row = results.figures(self.workload, model, run, self.steps, before, after)
        print(f"  {self.side.name}: {row['tokens_per_second']:.0f} tok/s, GEMM {row['gemm_tflops']:.2f} TF"
              f"{'' if row['steady'] else ', not steady'}", flush=True)
        self.runs.append((run, self.steps, row))
        return after

    def report(self, first, profile):
        if not self.runs:
            return {"name": self.side.name, "error": self.error}
        entry = {"name": self.side.name, "median": results.median_of([row for _, _, row in self.runs]),
                 "facts": self.runs[0][0].facts, "rounds": [row for _, _, row in self.runs],
                 "step_seconds": [run.seconds for run, _, _ in self.runs]}
        if first is not self and first.runs:
            entry["first_over_this"] = results.ratio(self.workload, first.runs, self.runs)
        if profile and isinstance(self.side, sides.Graft):
            entry["profile"] = self.side.run(self.workload, self.steps.stop, profile=True).profile
        return entry


def compare(args, workload, competitors):
    """Rounds of one workload -> its report."""
    whole = workload.whole_steps()
    probed = min(1024, workload.mean_tokens(whole))
    learned = max(1, probed * workload.mean_targets(whole) // workload.mean_tokens(whole))
    probe = Probe(args.probe, args.base, probed, learned, args.probe_seconds)
    before = probe()
    model = workloads.Model(before["linear_parameters"], before["head_parameters"], before["attention_width"])
    entrants = [Entrant(side, args, workload) for side in competitors]
    for number in range(args.rounds):
        print(f"  round {number + 1} of {args.rounds}", flush=True)
        for entrant in entrants:
            if entrant.error is None:
                before = entrant.take_part(model, before, probe)
    return {"workload": workload.name, "rows": len(workload.rows), "batch": workload.batch, "rounds": args.rounds,
            "sides": [entrant.report(entrants[0], args.profile) for entrant in entrants]}


def start_up(args, competitors, folder):
    """Seconds to the end of a first step of 512 tokens: graft from a Hugging Face folder and from GGUF, peers from the folder."""
    workload, rows = workloads.one_row(folder, 512), []
    for base in dict.fromkeys([args.hf, args.base]):
        kind = "Hugging Face folder" if os.path.isdir(base) else "GGUF"
        for side in competitors:
            if isinstance(side, sides.Graft):
                side = sides.Graft(side.program, base, side.overrides, side.name)
            elif base != args.hf:
                continue
            try:
                side.run(workload, 1)  # brings everything into the page cache
                seconds = [side.run(workload, 1).first_step for _ in range(args.start_up_runs)]
            except sides.SideFailed as error:
                print(f"  {side.name}: {error}", flush=True)
                continue
            rows.append({"name": side.name, "base": kind, "seconds": statistics.median(seconds), "runs": seconds})
    return rows


def attention(program):
    """ours and scaled_dot_product_attention at ATTENTION_LENGTHS, forward and backward."""
    out = sides.run_process([program, "--json", *map(str, ATTENTION_LENGTHS)])
    return [json.loads(line) for line in out.splitlines()]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", required=True)
    parser.add_argument("--probe", required=True, help="build/tests/bench/gemm_probe")
    parser.add_argument("--attention", help="build/tests/bench/attention_bench; runs it too")
    parser.add_argument("--base", required=True, help="GGUF or Hugging Face folder that graft trains on")
    parser.add_argument("--hf", help="the same base as a Hugging Face folder, for start-up and peers; made from --base where missing")
    parser.add_argument("--python", help="a Python with torch, transformers, peft and trl: runs the peers")
    parser.add_argument("--peers", nargs="*", default=list(sides.PEER_MODES), choices=sides.PEER_MODES)
    parser.add_argument("--workloads", nargs="*", default=["chat_rows", "rows_1024"], help="of this folder, or none")
    parser.add_argument("--rows", action="append", default=[], metavar="FILE", help="another workload: JSONL of input_ids and labels")
    parser.add_argument("--set", action="append", default=[], metavar="K=V[,K=V]", help="another side: graft with these overrides")
    parser.add_argument("--only-sets", action="store_true", help="no side with the defaults; the first --set is what others are compared with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8, help="of each run")
    parser.add_argument("--warm-up", type=int, default=3, help="first steps of a run that are not measured")
    parser.add_argument("--documented-steps", type=int, default=5, help="of a run of the documented peer, which is slow")
    parser.add_argument("--probe-seconds", type=float, default=1.0)
    parser.add_argument("--start-up-runs", type=int, default=3, help="0: leave out")
    parser.add_argument("--profile", action="store_true", help="one more run of each policy with --profile, kept in the result")
    parser.add_argument("--label", default="bench", help="last part of the result's file name")
    parser.add_argument("--results", help="folder that keeps the result as JSON")
    parser.add_argument("--json", action="store_true", help="the result on stdout as one JSON document, after the tables")
    args = parser.parse_args()
    args.base = os.path.abspath(args.base)
    return args


def measure(args, document):
    """Fills the document, part by part."""
    ours = [] if args.only_sets else [sides.Graft(args.graft, args.base, {}, "graft")]
    ours += [sides.Graft(args.graft, args.base, sides.parse_overrides(text)) for text in args.set]
    with tempfile.TemporaryDirectory() as folder:
        args.hf = os.path.abspath(args.hf or sides.hf_base(args.graft, args.base, folder))
        competitors = ours + [sides.Peer(args.python, args.hf, mode) for mode in args.peers if args.python]
        for load in [workloads.named(name, args.batch) for name in args.workloads + args.rows]:
            print(load.name, flush=True)
            document["reports"].append(compare(args, load, competitors))
        if args.start_up_runs:
            failed = {side["name"] for report in document["reports"] for side in report["sides"] if "error" in side}
            document["start_up"] = start_up(args, [side for side in competitors if side.name not in failed], folder)
    if args.attention:
        document["attention"] = attention(args.attention)


def print_tables(document):
    for report in document["reports"]:
        print("\n" + results.table(report))
    if "start_up" in document:
        print("\n" + results.start_up_table(document["start_up"]))
    if "attention" in document:
        print("\n" + results.attention_table(document["attention"]))


def main():
    args = parse()
    document = {**results.commit(HERE), "machine": results.machine(), "base": os.path.basename(args.base), "steps": args.steps,
                "reports": []}
    try:
        measure(args, document)
    finally:  # hours of rounds are not lost to a later part that fails or is interrupted
        print_tables(document)
        if args.results:
            print("\nkept in " + os.path.relpath(results.keep(args.results, args.label, document)))
    if args.json:
        print(json.dumps(results.rounded(document)))


main()
