"""Reads GGUF files that graft wrote with the gguf package, and holds their quantised bytes against it.

Every tensor of every FILE must be read, and dequantised to finite numbers. With --exact EXACT.gguf, the same model in F32, each
tensor of a FILE in Q8_0, Q4_0, BF16 or F16 must be the very bytes that gguf.quants.quantize makes of EXACT's.

With --ggml OUT, also writes the one FILE again with the blocks that ggml's own quantizer makes of EXACT's numbers (as llama-quantize
without an importance matrix): `graft score` of both says whose rounding costs more.

Needs gguf; --ggml also xllamacpp, whose library has the quantizer.
Usage: python tests/bench/gguf_package.py [--exact model.f32.gguf] [--ggml OUT.gguf] FILE…
"""

import argparse
import ctypes
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize

SAME_BYTES = {GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0, GGMLQuantizationType.BF16, GGMLQuantizationType.F16}
PLAIN = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16}


def values(tensor):
    return dequantize(tensor.data, tensor.tensor_type)


def ggml_quantizer():
    function = ctypes.CDLL(str(Path(find_spec("xllamacpp").origin).parent / "xllamacpp.abi3.so")).ggml_quantize_chunk
    function.restype = ctypes.c_size_t
    function.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    return function


def write_as_ggml_would(file, exact, out):
    """Returns how many tensors were rounded anew."""
    quantizer, count = ggml_quantizer(), 0
    shutil.copyfile(file, out)
    with open(out, "r+b") as copy:
        for tensor in GGUFReader(file).tensors:
            wanted = exact[tensor.name]
            if tensor.tensor_type in PLAIN:
                continue
            numbers = numpy.ascontiguousarray(wanted, numpy.float32)
            stored = numpy.zeros(tensor.n_bytes, numpy.uint8)
            quantizer(int(tensor.tensor_type), numbers.ctypes.data, stored.ctypes.data, 0,
                      numbers.size // numbers.shape[-1], numbers.shape[-1], None)
            copy.seek(tensor.data_offset)
            copy.write(stored.tobytes())
            count += 1
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exact")
    parser.add_argument("--ggml")
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    if given.ggml and not (given.exact and len(given.files) == 1):
        parser.error("--ggml wants --exact and one FILE")
    exact = {t.name: values(t) for t in GGUFReader(given.exact).tensors} if given.exact else {}
    for file in given.files:
        reader, types, same = GGUFReader(file), {}, 0
        for tensor in reader.tensors:
            types[tensor.tensor_type.name] = types.get(tensor.tensor_type.name, 0) + 1
            if not numpy.isfinite(values(tensor)).all():
                sys.exit(f"{file}: {tensor.name}: not finite")
            if tensor.name in exact and tensor.tensor_type in SAME_BYTES:
                wanted = quantize(exact[tensor.name], tensor.tensor_type)
                if wanted.tobytes() != tensor.data.tobytes():
                    sys.exit(f"{file}: {tensor.name}: other bytes than the gguf package's {tensor.tensor_type.name}")
                same += 1
        said = ", ".join(f"{count} {name}" for name, count in sorted(types.items()))
        print(f"{file}: {len(reader.fields)} fields, tensors: {said}; {same} with the package's own bytes")
        if given.ggml:
            print(f"{given.ggml}: {write_as_ggml_would(file, exact, given.ggml)} tensors rounded by ggml")


if __name__ == "__main__":
    main()
