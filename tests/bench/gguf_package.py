"""Reads GGUF files that graft wrote with the gguf package, and holds their quantised bytes against it.

Every tensor of every FILE must be read, and dequantised to finite numbers. With --exact EXACT.gguf, the same model in F32, each
tensor of a FILE in Q8_0, Q4_0, BF16 or F16 must be the very bytes that gguf.quants.quantize makes of EXACT's.

Needs gguf. Usage: python tests/bench/gguf_package.py [--exact model.f32.gguf] FILE…
"""

import argparse
import sys

import numpy
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize

SAME_BYTES = {GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0, GGMLQuantizationType.BF16, GGMLQuantizationType.F16}


def values(tensor):
    return dequantize(tensor.data, tensor.tensor_type)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exact")
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
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


if __name__ == "__main__":
    main()
