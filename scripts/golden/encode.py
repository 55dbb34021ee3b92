"""Writes tests/golden/kernels/encode.safetensors: weights as other programs encode them to GGUF's types.

Under each type's name: `weights` as the gguf package encodes them, blocks that are hard to round among them. Under
rmse.TYPE: how far the weights `ordinary` are from what ggml's quantizer makes of them.
Needs numpy, gguf, safetensors and xllamacpp, whose library has ggml's functions. Usage: python scripts/golden/encode.py
"""

import ctypes
from importlib.util import find_spec
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

TARGET = Path(__file__).resolve().parents[2] / "tests" / "golden" / "kernels" / "encode.safetensors"
ROW = 2048
Type = gguf.GGMLQuantizationType


def hard_blocks(random):
    """Zeros of both signs, denormals, numbers beyond fp16 and near the end of fp32, ties, one sign only; then any size."""
    count = np.arange(32)
    blocks = [np.zeros(32), -np.zeros(32), np.full(32, 1e-45), np.linspace(-1e-40, 1e-40, 32),
              np.linspace(-3e38, 3e38, 32), np.full(32, 3e38), np.linspace(-8, 7.5, 32), count - 16.0,
              (count - 15.5) / 2, np.where(count % 2, 1.0, -1.0), np.where(count % 2, -1.0, 1.0),
              np.linspace(-1e-7, 1e-7, 32), np.linspace(0, 65504 * 8, 32), np.linspace(-65520 * 127, 0, 32),
              np.linspace(1, 2, 32), -np.linspace(1, 2, 32), np.linspace(-6e-39, 2e-39, 32)]
    blocks += [random.normal(0, 10.0 ** exponent, 32) for exponent in random.integers(-44, 38, 24)]
    blocks += [random.integers(-16, 16, 32) * 2.0**exponent for exponent in random.integers(-20, 20, 12)]
    return np.concatenate(blocks).astype(np.float32)


def ggml_quantizer():
    library = Path(find_spec("xllamacpp").origin).parent / "xllamacpp.abi3.so"
    function = ctypes.CDLL(str(library)).ggml_quantize_chunk
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    return function


def rmse_of_ggml(function, kind, weights):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    stored = np.zeros(weights.size // block * size, np.uint8)
    function(int(kind), weights.ctypes.data, stored.ctypes.data, 0, weights.size // ROW, ROW, None)
    off = dequantize(stored, kind).ravel().astype(np.float64) - weights
    return np.array([np.sqrt(np.mean(off**2))], np.float32)


def main():
    random = np.random.default_rng(5)
    tensors = {"weights": hard_blocks(random)}
    with np.errstate(all="ignore"):
        for name in ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
            tensors[name.lower()] = np.frombuffer(quantize(tensors["weights"], Type[name]).tobytes(), np.uint8)
    ordinary = np.concatenate([random.normal(0, 0.02, 2 * ROW), random.laplace(0, 0.02, ROW)]).astype(np.float16)
    tensors["ordinary"] = ordinary
    for name in ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"):
        tensors[f"rmse.{name.lower()}"] = rmse_of_ggml(ggml_quantizer(), Type[name], ordinary.astype(np.float32))
    save_file(tensors, TARGET)


if __name__ == "__main__":
    main()
