"""The sides of a comparison: graft under a policy, and PEFT in one of three manners. Each runs a workload in a process
of its own and answers with a Run."""
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
RECIPE = """version: 1
seed: 1
output_dir: {out}
model: {{path: {base}}}
lora: {{r: 16, alpha: 32}}
data: {{shuffle: false, max_seq_len: {longest}, train: [{{path: {rows}}}]}}
train: {{max_steps: {steps}, batch_size: {batch}}}
schedule: {{name: constant, warmup_ratio: 0}}
checkpoint: {{every_steps: 100000}}
"""
PEER_MODES = ("tuned", "compiled", "documented")
TCMALLOC = ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "/usr/lib/aarch64-linux-gnu/libtcmalloc_minimal.so.4",
            "/usr/lib64/libtcmalloc_minimal.so.4")


@dataclass
class Run:
    seconds: list  # of each step, first forward to end of update
    losses: list
    peak_rss: int  # bytes
    first_step: float  # seconds from exec to the end of the first step
    adapter_parameters: int
    facts: dict = field(default_factory=dict)  # what else the side says of itself
    profile: dict = None


class SideFailed(Exception):
    """A side's process ended with an error; the text says which and what it said last."""


def run_process(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})}, check=False)
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise SideFailed(f"{os.path.basename(command[0])} {os.path.basename(command[1])} ended with {done.returncode}: {said}")
    return done.stdout


class Graft:
    """graft with recipe overrides, such as {"model.quantization": "nf4"}."""

    def __init__(self, program, base, overrides, name=None):
        self.program, self.base, self.overrides = program, os.path.abspath(base), overrides
        self.name = name or "graft" + "".join(f" {key.split('.')[-1]}={os.path.basename(value)}"
                                              for key, value in overrides.items())

    def run(self, workload, steps, profile=False):
        with tempfile.TemporaryDirectory() as folder:
            recipe, out = os.path.join(folder, "recipe.yaml"), os.path.join(folder, "run")
            with open(recipe, "w", encoding="utf-8") as file:
                file.write(RECIPE.format(out=out, base=self.base, rows=workload.path, steps=steps, batch=workload.batch,
                                         longest=max(2048, workload.longest())))
            words = [f"{key}={value}" for key, value in self.overrides.items()]
            run_process([self.program, "train", recipe, *words, *(["--profile"] if profile else [])])
            with open(os.path.join(out, "metrics.jsonl"), encoding="utf-8") as lines:
                metrics = [json.loads(line) for line in lines]
            with open(os.path.join(out, "run.json"), encoding="utf-8") as file:
                record = json.load(file)
            measured = None
            if profile:
                with open(os.path.join(out, "profile.json"), encoding="utf-8") as file:
                    measured = json.load(file)
        result = record["result"]
        return Run([m["tokens"] / m["tokens_per_second"] for m in metrics], [m["loss"] for m in metrics],
                   result["peak_rss_bytes"], result["first_step_seconds"], record["trainable_parameters"],
                   {"micro_batch_tokens": record["micro_batch_tokens"]}, measured)


class Peer:
    """PEFT: `tuned` is a plain loop over micro-batches of like length; `compiled` adds torch.compile and tcmalloc;
    `documented` is TRL's SFTTrainer as its documentation says."""

    def __init__(self, python, model, mode, tcmalloc=None):
        self.python, self.model, self.mode = python, os.path.abspath(model), mode
        self.name = "PEFT " + mode
        self.tcmalloc = tcmalloc or next(filter(os.path.exists, TCMALLOC), None)

    def run(self, workload, steps, profile=False):
        del profile
        environment, script = {}, "peft_peer.py"
        words = ["--model", self.model, "--rows", workload.path, "--steps", str(steps), "--batch", str(workload.batch)]
        if self.mode == "documented":
            script = "trl_peer.py"
        elif self.mode == "compiled":
            # Where every row is as long, one row is a micro-batch; else padded tokens up to 512.
            words.append("--compile")
            if self.tcmalloc:
                environment["LD_PRELOAD"] = self.tcmalloc
        out = run_process([self.python, os.path.join(HERE, script), *words], environment)
        said = json.loads(out.strip().splitlines()[-1])
        facts = dict(said["facts"])
        if self.mode == "compiled":
            facts["malloc"] = "tcmalloc" if self.tcmalloc else "glibc (tcmalloc not found: slower)"
        return Run(said["seconds"], said["losses"], said["peak_rss"], said["first_step"], said["adapter_parameters"], facts)


def parse_overrides(text):
    """`a=b,c=d` -> {"a": "b", "c": "d"}"""
    pairs = [word.partition("=") for word in text.split(",") if word]
    for key, mark, _ in pairs:
        if not mark:
            raise SystemExit(f"--set {text}: want key=value, got {key}")
    return {key: value for key, _, value in pairs}


def hf_base(program, base, folder):
    """The base as a Hugging Face folder, which peers load; a GGUF is converted into `folder`."""
    if os.path.isdir(base):
        return base
    out = os.path.join(folder, "hf_base")
    shutil.rmtree(out, ignore_errors=True)
    run_process([program, "convert", "--model", base, "--out", out])
    return out
