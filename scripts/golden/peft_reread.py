#!/usr/bin/env python3
"""peft_reread.py SAVED: PEFT loads the adapters that graft saved and finds its own log-probabilities with them.

SAVED  a folder per case of tests/golden/peft/methods and of tests/golden/peft/initialisations, written by the tests of the room:
       GRAFT_SAVED_ADAPTERS=SAVED build/tests/peft/test_peft --gtest_filter='*SavedItHasPefts*'
"""
import os, sys, warnings
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "tests", "golden")
SEQUENCES = [[1, 30, 17, 42, 51, 8, 26, 9, 2], [1, 7, 40, 5, 12]]
TOLERANCE = 1e-4


def expected_of(name):
    places = [os.path.join(GOLDEN, "peft", kind, name, "expected.safetensors") for kind in ("methods", "initialisations")]
    return next(place for place in places if os.path.exists(place))


@torch.no_grad()
def difference(name):
    base = AutoModelForCausalLM.from_pretrained(os.path.join(GOLDEN, "families", name.split("_")[0]), dtype=torch.float32,
                                                attn_implementation="eager")
    model = PeftModel.from_pretrained(base, os.path.join(sys.argv[1], name)).eval()
    got = torch.cat([model(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1) for ids in SEQUENCES])
    wanted = load_file(expected_of(name))["log_probs"]
    return float((got[:, ::got.shape[1] // wanted.shape[1]] - wanted).abs().max())


failed = False
for name in sorted(os.listdir(sys.argv[1])):
    worst = difference(name)
    failed = failed or not worst < TOLERANCE
    print(f"{name}: {worst:.2e}")
sys.exit(failed)
