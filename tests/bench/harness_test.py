#!/usr/bin/env python3
"""harness_test.py: the arithmetic of the benchmark harness on runs whose answers are known."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import results  # noqa: E402
import sides  # noqa: E402
import workload as workloads  # noqa: E402

MODEL = workloads.Model(linear_parameters=1000, head_parameters=500, attention_width=10)


def probe(step, large=2.0):
    return {"step_shapes_tflops": step, "large_tflops": large}


class Harness(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        path = os.path.join(self.folder.name, "rows.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            for length in (4, 6, 10, 2, 3):  # the last row fills no step
                labels = [-100] + list(range(length - 1))
                file.write(json.dumps({"input_ids": list(range(length)), "labels": labels}) + "\n")
        self.load = workloads.Workload(path, 2)

    def run_of(self, *seconds):
        return sides.Run(list(seconds), [2.0] * len(seconds), 10**9, 1.5, 20)

    def test_steps_are_whole_and_count_labels_that_are_learned(self):
        self.assertEqual(self.load.whole_steps(), 2)
        self.assertEqual([self.load.tokens(i) for i in range(2)], [10, 12])
        self.assertEqual([self.load.targets(i) for i in range(2)], [8, 10])

    def test_flops_follow_the_formula(self):
        self.assertEqual(self.load.flops(0, MODEL, 20), 4 * (1000 * 10 + 500 * 8) + 6 * 20 * 10 + 7 * 10 * (16 + 36))

    def test_figures_leave_the_warm_up_out_and_share_is_of_the_mean_probe(self):
        row = results.figures(self.load, MODEL, self.run_of(9.0, 0.5), range(1, 2), probe(0.9e-6), probe(1.1e-6))
        self.assertEqual(row["tokens_per_second"], 24)
        self.assertEqual(row["loss_tokens_per_second"], 20)
        self.assertAlmostEqual(row["share_of_gemm"], self.load.flops(1, MODEL, 20) / 0.5 / 1e6)
        self.assertFalse(row["steady"])

    def test_medians_pass_over_runs_that_were_not_steady(self):
        rows = [{"x": 1.0, "steady": True}, {"x": 100.0, "steady": False}, {"x": 3.0, "steady": True}]
        self.assertEqual(results.median_of(rows), {"x": 2.0, "steady": "2 of 3"})
        self.assertEqual(results.median_of([{"x": 5.0, "steady": False}]), {"x": 5.0, "steady": "0 of 1"})

    def test_a_ratio_is_over_common_steps_of_the_same_round(self):
        steady = {"steady": True}
        ours = [(self.run_of(1.0, 2.0), range(0, 2), steady), (self.run_of(1.0, 1.0), range(0, 2), {"steady": False})]
        theirs = [(self.run_of(8.0, 6.0), range(1, 2), steady), (self.run_of(8.0, 9.0), range(1, 2), steady)]
        self.assertEqual(results.ratio(self.load, ours, theirs), {"median": 3.0, "rounds": [3.0, 9.0], "steady": "1 of 2"})

    def test_overrides_are_key_value(self):
        self.assertEqual(sides.parse_overrides("a.b=1,c=x"), {"a.b": "1", "c": "x"})
        with self.assertRaises(SystemExit):
            sides.parse_overrides("a.b")

    def test_a_kept_result_names_no_place(self):
        side = sides.Graft("/somewhere/graft", "/somewhere/base.gguf", {"model.path": "/somewhere/else.gguf"})
        self.assertEqual(side.name, "graft path=else.gguf")
        path = results.keep(self.folder.name, "x", {"commit": "abc", "machine": results.machine(), "value": 1 / 3})
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("/", text.replace(json.loads(text)["machine"]["cpu"], ""))
        self.assertEqual(json.loads(text)["value"], 0.333333)

    def test_a_failing_side_says_what_it_said(self):
        with self.assertRaisesRegex(sides.SideFailed, "ended with 3: no such base"):
            sides.run_process(["sh", "-c", "echo no such base >&2; exit 3"])


if __name__ == "__main__":
    unittest.main()
