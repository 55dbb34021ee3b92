#!/usr/bin/env python3
"""trl_peer.py --model FOLDER --rows FILE --steps N: TRL's SFTTrainer with PEFT as its documentation says: a padded batch,
bf16 autocast over the base in bf16, fp32 adapters, gradient checkpointing (TRL's default). Prints one JSON line."""
import argparse
import contextlib
import io
import json
import os
import resource
import tempfile
import time

from process_clock import seconds_since_exec

from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer
import trl

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Clock(TrainerCallback):
    def __init__(self):
        self.ends, self.losses, self.first = [], [], None

    def on_step_begin(self, *_, **__):
        if not self.ends:
            self.ends.append(time.time())

    def on_step_end(self, *_, **__):
        self.ends.append(time.time())
        self.first = self.first or seconds_since_exec()

    def on_log(self, _args, _state, _control, logs=None, **_):
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    with open(args.rows, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(output_dir=os.path.join(folder, "out"), per_device_train_batch_size=args.batch, learning_rate=2e-4,
                           lr_scheduler_type="constant", weight_decay=0.0, use_cpu=True, max_steps=args.steps,
                           max_length=max(2048, max(len(row["input_ids"]) for row in rows)), logging_steps=1,
                           report_to="none", save_strategy="no", seed=0, train_sampling_strategy="sequential",
                           disable_tqdm=True, model_init_kwargs={"dtype": "bfloat16"})
        lora = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", target_modules=LINEARS)
        trainer = SFTTrainer(model=args.model, args=config, train_dataset=Dataset.from_list(rows), peft_config=lora,
                             callbacks=[clock])
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
        trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    print(json.dumps({"seconds": [b - a for a, b in zip(clock.ends, clock.ends[1:])], "losses": clock.losses,
                      "first_step": clock.first, "adapter_parameters": trained,
                      "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                      "facts": {"trl": trl.__version__, "gradient_checkpointing": bool(config.gradient_checkpointing),
                                "bf16": bool(config.bf16)}}))


main()
