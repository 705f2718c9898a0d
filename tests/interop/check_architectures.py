"""check_architectures.py LOOM GOLDEN WORK: the small models of every architecture (tests/golden/models), as GGUF files
in llama.cpp and, made of those, as folders in transformers, compute what the folders do.

llama.cpp keeps its cache in half precision and knows no sliding window in these architectures: rows behind the first
window are not compared.  It has no causal way to read an encoder: BERT goes through transformers only.
"""
import json
import os
import sys

from common import loom, need, verdict

llama_cpp, numpy, torch, transformers = need("llama_cpp", "numpy", "torch", "transformers")
NAMES = ["llama", "mistral", "qwen2", "qwen3", "gpt2", "bert"]
TOKENS = [(5 * i + 1) % 64 for i in range(12)]
TOLERANCE_HALF, TOLERANCE = 0.02, 1e-3


def window_of(folder):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    return config.get("sliding_window") or len(TOKENS)


def of_llama_cpp(path):
    model = llama_cpp.Llama(path, n_ctx=64, logits_all=True, verbose=False)
    model.eval(TOKENS)
    return numpy.array(model.scores[:len(TOKENS)])


def of_transformers(folder, name):
    kind = transformers.AutoModel if name == "bert" else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        out = model(torch.tensor([TOKENS]))
    return (out.logits if hasattr(out, "logits") else out.last_hidden_state)[0].numpy()


def main():
    program, golden, work = sys.argv[1:]
    worst, good = {}, True
    for name in NAMES:
        folder, gguf, back = f"{golden}/{name}", f"{work}/{name}.gguf", f"{work}/{name}.hf"
        expected = numpy.fromfile(f"{folder}/expected.f32", dtype="<f4").reshape(len(TOKENS), -1)
        loom(program, "model", "export", folder, "--type=f32", f"--out={gguf}")
        loom(program, "model", "export", gguf, "--to=hf", f"--out={back}")
        there = abs(of_transformers(back, name) - expected).max()
        rows = window_of(folder)
        here = abs(of_llama_cpp(gguf)[:rows] - expected[:rows]).max() if name != "bert" else 0
        worst[name] = f"{here:.0e}/{there:.0e}"
        good &= bool(here <= TOLERANCE_HALF and there <= TOLERANCE)
    verdict(good, "differences in llama.cpp/transformers: " + ", ".join(f"{k} {v}" for k, v in worst.items()))


os.environ["TRANSFORMERS_VERBOSITY"] = "error"
main()
