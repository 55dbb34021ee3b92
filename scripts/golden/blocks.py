"""Writes tests/golden/kernels/TYPE.{stored,f32}: stored numbers and what the gguf package decodes them to.

Needs numpy and gguf. Usage: python scripts/golden/blocks.py
"""

from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "kernels"
BLOCKS = 96
HALVES_PER_BLOCK = {"Q4_0": 1, "Q4_1": 2, "Q5_0": 1, "Q5_1": 2, "Q8_0": 1}
# Blocks of later formats, and where their fp16 scale and minimum lie.
LATER_BLOCKS = 14
LATER_HALVES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,),
                "IQ4_XS": (0,)}
# Zeros, denormals, the smallest and largest normal, inf: what a scale or minimum may be.
EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00]


def blocks_of(name, random):
    """Random codes under scales of ordinary size; the first blocks take the edges as scale and as minimum."""
    size = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for part in range(HALVES_PER_BLOCK[name]):
        halves = random.normal(0, 0.02, BLOCKS).astype(np.float16)
        halves[part * len(EDGES) : (part + 1) * len(EDGES)] = np.array(EDGES, dtype=np.uint16).view(np.float16)
        blocks[:, 2 * part : 2 * part + 2] = halves.view(np.uint8).reshape(BLOCKS, 2)
    return blocks


def later_blocks_of(name, random):
    """The same, fewer: the edges shift from part to part, so that each meets an ordinary number and another edge.
    In the last two blocks all small scales are as large and as small as they can be."""
    size = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    blocks = random.integers(0, 256, (LATER_BLOCKS, size), dtype=np.uint8)
    blocks[-2], blocks[-1] = 255, 0
    for part, at in enumerate(LATER_HALVES[name]):
        halves = random.normal(0, 0.02, LATER_BLOCKS).astype(np.float16)
        halves[2 * part : 2 * part + len(EDGES)] = np.array(EDGES, dtype=np.uint16).view(np.float16)
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(LATER_BLOCKS, 2)
    return blocks


def save_q8_k(random):
    """The gguf package has no dequantize for Q8_K: d * code, as in ggml's dequantize_row_q8_K."""
    with np.errstate(all="ignore"):
        scales = random.normal(0, 0.02, 12).astype(np.float32)
        scales[:8] = [0.0, -0.0, 1e-45, -1e-40, 3.4e38, np.inf, -np.inf, np.nan]
        codes = random.integers(-128, 128, (12, 256), dtype=np.int8)
        values = scales[:, None] * codes.astype(np.float32)
    sums = codes.reshape(12, 16, 16).sum(-1, dtype=np.int16)
    stored = b"".join(d.tobytes() + q.tobytes() + s.tobytes() for d, q, s in zip(scales, codes, sums))
    (FOLDER / "q8_k.stored").write_bytes(stored)
    (FOLDER / "q8_k.f32").write_bytes(values.tobytes())


def save(name, stored):
    with np.errstate(all="ignore"):
        values = dequantize(stored, GGMLQuantizationType[name])
    (FOLDER / f"{name.lower()}.stored").write_bytes(stored.tobytes())
    (FOLDER / f"{name.lower()}.f32").write_bytes(values.astype(np.float32).tobytes())


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    for name in HALVES_PER_BLOCK:
        save(name, blocks_of(name, random))
    for name in LATER_HALVES:
        save(name, later_blocks_of(name, np.random.default_rng(2)))
    save_q8_k(np.random.default_rng(3))
    # Every 13th bit pattern and the edges; 13 and 65536 have no common factor, so all exponents and signs occur.
    patterns = np.array(list(range(0, 65536, 13)) + EDGES + [0x7E00], dtype=np.uint16)
    save("F16", patterns.view(np.float16))
    save("BF16", patterns.view(np.uint8))


if __name__ == "__main__":
    main()
