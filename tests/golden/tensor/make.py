"""Blocks of every stored type, and what Python's gguf makes of them.

    python3 tests/golden/tensor/make.py        (gguf 0.19.0, numpy 2.4.6)

decode.bin: for each type of DECODED, BLOCKS blocks of random bytes whose scales are ordinary halves, then
their values as little-endian float32.
encode.bin: VALUES little-endian float32 (blocks of normal numbers, of equal ones, of zeros, of one sign, of
ties, of very small and of large ones), then their bytes in each type of ENCODED.
halves.bin: VALUES of float32, then as float16, then as bfloat16.
"""
import pathlib

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T, quants

HERE = pathlib.Path(__file__).parent
BLOCKS = 4
# Places of the halves in a block; all other bytes are integers of some width.
DECODED = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q4_K: [0, 2], T.Q5_K: [0, 2],
           T.Q6_K: [208]}
ENCODED = [T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1]
random = np.random.default_rng(11)


def decode_cases():
    for kind, halves in DECODED.items():
        size = GGML_QUANT_SIZES[kind][1]
        blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for at in halves:
            scale = (random.normal(size=BLOCKS) * 2.0 ** random.integers(-20, 3, BLOCKS)).astype(np.float16)
            blocks[:, at:at + 2] = scale.view(np.uint8).reshape(BLOCKS, 2)
        yield blocks.tobytes()
        yield quants.dequantize(blocks.reshape(1, -1), kind).astype("<f4").tobytes()


def values():
    x = [random.normal(size=32) for _ in range(24)]
    x += [random.normal(size=32) * 2.0 ** e for e in (-120, -30, -20, -14, -10, 5, 12)]
    x += [np.full(32, v) for v in (1.0, -3.7, 1e-30)] + [np.zeros(32)]
    x += [np.abs(random.normal(size=32)), -np.abs(random.normal(size=32))]
    x += [np.arange(32) / 2 - 8, np.arange(32) * 0.5, np.tile([1, -1], 16) * 0.75]
    x += [np.round(random.normal(size=32) * 4) / 8 for _ in range(8)]
    return np.concatenate(x).astype(np.float32)


def odd_halves():
    """Around every border of both formats: the smallest, ties, the largest, and what is beyond."""
    edge = [2.0 ** e for e in (-149, -133, -126, -25, -24, -15, -14, 0, 15, 16, 127)]
    x = np.array([e * f for e in edge for f in (1, 1 - 2 ** -11, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1.5, 1 + 2 ** -8,
                                                1 + 2 ** -9, 1 + 3 * 2 ** -8) if e * f < 3.4e38], dtype=np.float32)
    x = np.concatenate([x, np.float32([0, 65504, 65519.996, 65520, 3.4028235e38, np.inf]),
                        random.normal(size=200).astype(np.float32)])
    return np.concatenate([x, -x])


(HERE / "decode.bin").write_bytes(b"".join(decode_cases()))
x = values()
with np.errstate(all="ignore"):
    (HERE / "encode.bin").write_bytes(x.tobytes() + b"".join(quants.quantize(x, t).tobytes() for t in ENCODED))
    h = odd_halves()
    (HERE / "halves.bin").write_bytes(h.tobytes() + h.astype(np.float16).tobytes() +
                                      quants.quantize(h, T.BF16).tobytes())
