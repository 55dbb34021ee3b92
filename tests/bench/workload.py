"""Workloads: files of token rows, cut into the steps that every side takes, and the FLOPs that they are."""
import json
import os
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
IGNORED = -100


@dataclass
class Model:
    """What the FLOPs of a step depend on; gemm_probe prints it from the base's config."""
    linear_parameters: int
    head_parameters: int
    attention_width: int  # layers * query heads * head width


def length(row):
    return len(row["input_ids"])


def targets(row):
    return sum(label != IGNORED for label in row["labels"][1:])


class Workload:
    """Rows {"input_ids","labels"} (labels not shifted), in file order, `batch` a step."""

    def __init__(self, path, batch):
        self.path = os.path.abspath(path)
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.batch = batch
        with open(path, encoding="utf-8") as lines:
            self.rows = [json.loads(line) for line in lines if line.strip()]

    def whole_steps(self):
        return max(1, len(self.rows) // self.batch)

    def longest(self):
        return max(map(length, self.rows))

    def step(self, index):
        return self.rows[index * self.batch:(index + 1) * self.batch]

    def tokens(self, index):
        return sum(map(length, self.step(index)))

    def targets(self, index):
        return sum(map(targets, self.step(index)))

    def flops(self, index, model, adapter_parameters):
        """4 (N_lin + V d f_loss) + 6 P per token and 7 L d_q sum(s^2): reference formula, nothing computed twice."""
        squares = sum(length(row) ** 2 for row in self.step(index))
        return (4 * (model.linear_parameters * self.tokens(index) + model.head_parameters * self.targets(index)) +
                6 * adapter_parameters * self.tokens(index) + 7 * model.attention_width * squares)

    def mean_tokens(self, steps):
        return sum(map(self.tokens, range(steps))) // steps

    def mean_targets(self, steps):
        return sum(map(self.targets, range(steps))) // steps


def named(name, batch):
    """`chat_rows` and `rows_1024` beside this file, or a path."""
    own = os.path.join(HERE, name + ".jsonl")
    return Workload(own if os.path.exists(own) else name, batch)


def one_row(folder, tokens, vocabulary=1000):
    """A file with one row of `tokens` tokens, all learned."""
    ids = [100 + i % (vocabulary - 100) for i in range(tokens)]
    path = os.path.join(folder, f"row_{tokens}.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
    return Workload(path, 1)
