#!/usr/bin/env python3
"""peft_peer.py --model FOLDER --rows FILE --steps N [--compile]: PEFT on token rows, as fast as a plain loop makes it.

bf16 base, bf16 adapters with fp32 masters, the rows of a step cut into micro-batches of similar length (padded tokens at
most --budget), right padding without a mask (legal: attention is causal and no loss looks at padding), head and loss on
target rows only and in chunks, no checkpointing. --compile: torch.compile of each decoder layer. Prints one JSON line.
"""
import argparse
import json
import resource
import time

from process_clock import seconds_since_exec

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CHUNK = 512


class HeadLoss(torch.autograd.Function):
    """Frozen head and cross entropy a chunk of rows at a time; the gradient is made in the same pass."""

    @staticmethod
    def forward(ctx, hidden, weight, labels, divisor):
        gradient, total = torch.empty_like(hidden), 0.0
        for first in range(0, len(hidden), CHUNK):
            chosen = labels[first:first + CHUNK]
            logits = torch.nn.functional.linear(hidden[first:first + CHUNK], weight).float()
            norm = logits.logsumexp(1, keepdim=True)
            total += (norm.squeeze(1) - logits.gather(1, chosen[:, None]).squeeze(1)).sum().item()
            logits.sub_(norm).exp_()
            logits[torch.arange(len(chosen)), chosen] -= 1
            torch.mm(logits.div_(divisor).to(hidden.dtype), weight, out=gradient[first:first + CHUNK])
        ctx.save_for_backward(gradient)
        return torch.tensor(total / divisor)

    @staticmethod
    def backward(ctx, _):
        return ctx.saved_tensors[0], None, None, None


def micro_batches(rows, budget):
    batches = [[]]
    for row in sorted(rows, key=lambda r: -len(r["input_ids"])):
        if batches[-1] and len(batches[-1][0]["input_ids"]) * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(row)
    return batches


def loss_of(core, head, batch, divisor):
    longest = len(batch[0]["input_ids"])
    ids = torch.tensor([r["input_ids"] + [2] * (longest - len(r["input_ids"])) for r in batch])
    labels = torch.tensor([r["labels"] + [-100] * (longest - len(r["labels"])) for r in batch])[:, 1:]
    hidden = core(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    chosen = labels != -100
    return HeadLoss.apply(hidden[chosen], head.weight, labels[chosen], divisor)


class Trainer:
    def __init__(self, args):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16, attn_implementation="eager")
        config = LoraConfig(r=16, lora_alpha=32, bias="none", task_type="CAUSAL_LM", target_modules=LINEARS)
        model = get_peft_model(base, config, autocast_adapter_dtype=False)
        model.train()
        self.core, self.head = model.base_model.model.model, model.base_model.model.lm_head
        self.params = [p for p in model.parameters() if p.requires_grad]
        self.masters = [p.detach().float().clone() for p in self.params]
        self.optimizer = torch.optim.AdamW(self.masters, lr=2e-4, weight_decay=0.0, foreach=True)
        if args.compile:
            torch._dynamo.config.cache_size_limit = 64
            for layer in self.core.layers:
                layer.compile(dynamic=True)

    def step(self, rows, budget):
        targets = sum(x != -100 for r in rows for x in r["labels"][1:])
        total = 0.0
        for batch in micro_batches(rows, budget):
            loss = loss_of(self.core, self.head, batch, targets)
            loss.backward()
            total += loss.item()
        for master, p in zip(self.masters, self.params):
            master.grad, p.grad = p.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        self.optimizer.step()
        torch._foreach_copy_([p.data for p in self.params], self.masters)
        return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    with open(args.rows, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    trainer = Trainer(args)
    seconds, losses, first = [], [], None
    for index in range(args.steps):
        start = time.time()
        losses.append(trainer.step(rows[index * args.batch:(index + 1) * args.batch], args.budget))
        seconds.append(time.time() - start)
        first = first or seconds_since_exec()
    print(json.dumps({"seconds": seconds, "losses": losses, "first_step": first,
                      "adapter_parameters": sum(p.numel() for p in trainer.params),
                      "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                      "facts": {"torch": torch.__version__, "compiled": args.compile, "padded_tokens": args.budget}}))


main()
