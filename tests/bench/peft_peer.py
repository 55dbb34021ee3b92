#!/usr/bin/env python3
"""peft_peer.py --model FOLDER --rows FILE --steps N: PEFT on the same token rows, as fast as a plain loop makes it.

bf16 base, bf16 adapters with fp32 masters, 8 rows a step cut into micro-batches of similar length (padded tokens at most
--budget), right padding without a mask, head and loss on target rows only, no checkpointing. Prints one JSON line.
"""
import argparse, json, resource, time
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

BATCH = 8


def micro_batches(rows, budget):
    batches = [[]]
    for row in sorted(rows, key=lambda r: -len(r["input_ids"])):
        if batches[-1] and len(batches[-1][0]["input_ids"]) * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(row)
    return batches


def loss_of(core, head, batch):
    length = len(batch[0]["input_ids"])
    ids = torch.tensor([r["input_ids"] + [2] * (length - len(r["input_ids"])) for r in batch])
    labels = torch.tensor([r["labels"] + [-100] * (length - len(r["labels"])) for r in batch])[:, 1:]
    hidden = core(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    chosen = labels != -100
    return torch.nn.functional.cross_entropy(head(hidden[chosen]).float(), labels[chosen], reduction="sum")


def main():
    started = time.time()
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--budget", type=int, default=512)
    args = parser.parse_args()
    rows = [json.loads(line) for line in open(args.rows)]
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16, attn_implementation="eager")
    config = LoraConfig(r=16, lora_alpha=32, bias="none", task_type="CAUSAL_LM",
                        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    model = get_peft_model(base, config, autocast_adapter_dtype=False)
    model.train()
    core, head = model.base_model.model.model, model.base_model.model.lm_head
    params = [p for p in model.parameters() if p.requires_grad]
    masters = [p.detach().float().clone() for p in params]
    optimizer = torch.optim.AdamW(masters, lr=2e-4, weight_decay=0.0, foreach=True)
    seconds, losses, first = [], [], None
    for step in range(args.steps):
        start = time.time()
        chosen = [rows[i % len(rows)] for i in range(step * BATCH, (step + 1) * BATCH)]
        targets = sum(x != -100 for r in chosen for x in r["labels"][1:])
        total = 0.0
        for batch in micro_batches(chosen, args.budget):
            loss = loss_of(core, head, batch) / targets
            loss.backward()
            total += loss.item()
        for master, p in zip(masters, params):
            master.grad, p.grad = p.grad.float(), None
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        optimizer.step()
        torch._foreach_copy_([p.data for p in params], masters)
        seconds.append(time.time() - start)
        losses.append(total)
        first = first or time.time() - started
    print(json.dumps({"seconds": seconds, "losses": losses, "first_step": first,
                      "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


main()
