"""check_quantize.py LOOM MODEL_DIR WORK: `loom model quantize` writes the bytes that llama.cpp's own quantiser does, in
every tensor that both give the same type (they may choose differently for the head).
"""
import ctypes
import os
import sys

from common import loom, need, verdict

gguf, llama_cpp, numpy = need("gguf", "llama_cpp", "numpy")
TYPES = {"q8_0": 7, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9}   # llama_ftype


def by_llama_cpp(source, target, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = file_type, 2
    if llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)):
        verdict(False, f"llama.cpp does not quantise {source}")


def tensors(path):
    return {t.name: (t.tensor_type, numpy.ascontiguousarray(t.data).view(numpy.uint8)) for t in
            gguf.GGUFReader(path).tensors}


def main():
    program, folder, work = sys.argv[1:]
    source, figures, good = os.path.join(work, "quantize.gguf"), [], True
    loom(program, "model", "export", folder, "--type=f32", f"--out={source}")
    for name, file_type in TYPES.items():
        ours, theirs = f"{work}/ours.{name}.gguf", f"{work}/theirs.{name}.gguf"
        loom(program, "model", "quantize", folder, f"--type={name}", f"--out={ours}")
        by_llama_cpp(source, theirs, file_type)
        a, b = tensors(ours), tensors(theirs)
        shared = [key for key in a if a[key][0] == b[key][0]]
        same = [key for key in shared if numpy.array_equal(a[key][1], b[key][1])]
        good &= a.keys() == b.keys() and len(same) == len(shared) >= 0.9 * len(a)
        figures.append(f"{name} {len(same)} of {len(shared)}")
    verdict(good, f"equal tensors of {len(a)}: " + ", ".join(figures))


main()
