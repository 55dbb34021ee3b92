"""Writes tests/golden/store/package.{safetensors,gguf}: small files as the safetensors and gguf packages write them.

Needs torch, safetensors, gguf. Usage: python scripts/golden/store.py
"""

from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "store"


def write_safetensors():
    count = torch.arange(6).reshape(2, 3)
    tensors = {f"values.{dtype}".replace("torch.", ""): count.to(dtype) for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
        torch.int8, torch.uint8, torch.bool)}
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["näme/with ünicode"] = torch.ones(1)
    save_file(tensors, FOLDER / "package.safetensors", metadata={"format": "pt", "note": "écrit par Python"})


def write_gguf():
    writer = gguf.GGUFWriter(FOLDER / "package.gguf", "llama")
    writer.add_uint8("kv.u8", 200)
    writer.add_int8("kv.i8", -5)
    writer.add_uint16("kv.u16", 65535)
    writer.add_int16("kv.i16", -32768)
    writer.add_uint32("kv.u32", 4294967295)
    writer.add_int32("kv.i32", -7)
    writer.add_uint64("kv.u64", 1 << 40)
    writer.add_int64("kv.i64", -(1 << 40))
    writer.add_float32("kv.f32", 0.5)
    writer.add_float64("kv.f64", 0.1)
    writer.add_bool("kv.bool", True)
    writer.add_string("kv.string", "über")
    writer.add_array("kv.strings", ["a", "", "ccc"])
    writer.add_array("kv.integers", [1, -2, 3])
    writer.add_array("kv.numbers", [0.5, 1.5])
    writer.add_array("kv.booleans", [True, False])
    values = np.arange(128, dtype=np.float32).reshape(2, 64)
    writer.add_tensor("plain", values)
    writer.add_tensor("half", values.astype(np.float16))
    for kind in ("Q8_0", "Q4_1"):
        kind = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(kind.name.lower(), gguf.quantize(values, kind), raw_dtype=kind)
    # 2 rows of one 256-value block each; then a type that graft does not read.
    q4_k, iq2_xs = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.IQ2_XS
    writer.add_tensor("k_quant", np.arange(288, dtype=np.uint8).reshape(2, 144) % 60, raw_dtype=q4_k)
    writer.add_tensor("i_quant", np.zeros((2, 74), dtype=np.uint8), raw_dtype=iq2_xs)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_safetensors()
    write_gguf()
