"""Writes tests/golden/kernels/{nf4,q8_0}.safetensors: weights, how bitsandbytes (on a CPU) and gguf quantise them, and
what they decode to.

Needs torch, bitsandbytes (0.50.2), gguf, safetensors. Usage: python scripts/golden/quantized.py
"""

from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "kernels"
BLOCK = 64


def edges(block):
    """Blocks of awkward weights. Flat: the CPU kernel of bitsandbytes reads wrong scales where rows cut blocks."""
    values = bnb.get_4bit_type("nf4", device="cpu")
    middles = (values[:-1] + values[1:]) / 2
    rows = torch.zeros(24, block)
    rows[1] = -0.0
    rows[2, 5] = -3.0  # alone
    rows[3] = 0.25  # all the largest
    rows[4, ::2], rows[4, 1::2] = 0.5, -0.5  # largest of both signs
    rows[5, :16] = values * 0.75
    rows[6, :15], rows[6, 15] = middles, 1.0  # halfway between codes
    rows[7, :15], rows[7, 15] = middles * 0.3, -0.3
    rows[8, :15], rows[8, 15] = torch.nextafter(middles, torch.tensor(1.0)), 1.0
    rows[9, :15], rows[9, 15] = torch.nextafter(middles, torch.tensor(-1.0)), 1.0
    rows[10] = torch.randn(block) * 1e-39  # denormal scales; those below 1e-38 clamp the divisor
    rows[11] = torch.randn(block) * 1e-38
    rows[12] = torch.full((block,), 1e-45)
    rows[13] = torch.randn(block).clamp(-3, 3) * 1e38
    rows[14, 0], rows[14, 1] = torch.finfo(torch.float32).max, -torch.finfo(torch.float32).max
    rows[15, 0], rows[15, 1:] = 1.0, 1e-30
    rows[16, :2] = torch.tensor([1.0, -1.0])
    rows[17:] = torch.randn(7, block) * torch.logspace(-6, 3, 7)[:, None]
    return rows.flatten()


def nf4_cases():
    torch.manual_seed(4)
    finite = edges(BLOCK)
    return {
        "normal": (torch.randn(64 * 260 + 30) * 0.02, BLOCK),  # two blocks of scales, a short block at the end
        "bf16": ((torch.randn(64 * 40) * 0.02).bfloat16(), BLOCK),
        "edges": (finite, BLOCK),
        "short_zeros": (torch.cat([torch.randn(64), torch.zeros(10)]), BLOCK),
        "short_denormals": (torch.cat([torch.randn(64), torch.randn(10) * 1e-40]), BLOCK),
        "short_edges": (torch.cat([torch.ones(64), finite[: 64 * 24 : 27]]), BLOCK),
        "one": (torch.tensor([-0.3, 0.0]), BLOCK),
        "odd": (torch.randn(129), BLOCK),
        "block_32": (torch.randn(32 * 9 + 2), 32),
        "block_128": (torch.randn(128 * 5 + 64), 128),
        "block_4096": (torch.randn(4096 + 100) * 0.01, 4096),
        # Scales of few bits: their sum is exact in fp32 in any order, so the offset is too.
        "exact_mean": (((torch.randint(1, 200, (64 * 300,)) - 100) / 256).bfloat16(), BLOCK),
    }


def write_nf4():
    tensors = {"dynamic_map": bnb.create_dynamic_map()}
    for name, (weights, block) in nf4_cases().items():
        codes, plain = bnb.quantize_4bit(weights, blocksize=block, quant_type="nf4")
        same, double = bnb.quantize_4bit(weights, blocksize=block, quant_type="nf4", compress_statistics=True)
        assert torch.equal(codes, same)
        parts = {
            "weights": weights,
            "codes": codes.flatten(),
            "absmax": plain.absmax,
            "decoded": bnb.dequantize_4bit(codes, plain).flatten(),
            "offset": double.offset,
            "absmax_codes": double.absmax,
            "nested_absmax": double.state2.absmax,
            "decoded_double": bnb.dequantize_4bit(codes, double).flatten(),
            "block": torch.tensor(block),
        }
        if name in ("normal", "exact_mean"):  # large; what they are here for is how they are encoded
            del parts["decoded"], parts["decoded_double"]
        tensors |= {f"{name}.{part}": value.clone() for part, value in parts.items()}
    save_file(tensors, FOLDER / "nf4.safetensors")
    (FOLDER / "nf4.safetensors").chmod(0o644)


def write_q8_0():
    random = np.random.default_rng(8)
    rows = (random.normal(0, 0.02, (96, 32))).astype(np.float32)
    rows[0] = 0
    rows[1] = 1e-45
    rows[2] = random.normal(0, 1e-39, 32)
    rows[3] = random.normal(0, 1e-7, 32)  # a denormal half as scale
    rows[4] = random.normal(0, 1e4, 32)
    rows[5] = (np.arange(32) - 15.5) / 127  # halfway between codes
    rows[5, 0] = 1
    rows[6] = (np.arange(32) + 0.5) * 3
    rows[6, 31] = 127 * 3
    rows[7] = -rows[6]
    rows[8, 0], rows[8, 1] = 65504 * 127, -65504 * 127
    rows[9] = np.nextafter(rows[6], np.float32(0))
    rows[10] = np.nextafter(rows[6], np.float32(1e9))
    rows[11] = -0.0
    rows[12] = 0.37
    kind = GGMLQuantizationType.Q8_0
    with np.errstate(all="ignore"):
        stored = quantize(rows, kind)
        decoded = dequantize(stored, kind)
    save_file({"weights": torch.from_numpy(rows), "stored": torch.from_numpy(stored.copy()),
               "decoded": torch.from_numpy(decoded.copy())}, FOLDER / "q8_0.safetensors")
    (FOLDER / "q8_0.safetensors").chmod(0o644)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_nf4()
    write_q8_0()
