"""check_gguf.py LOOM MODEL_DIR WORK: llama.cpp continues an exported GGUF file with the ids that transformers chooses
for the folder, and for the folder that loom makes of the GGUF file again; in 8 bits it still reads the same text.
"""
import os
import sys

from common import loom, need, verdict

llama_cpp, torch, transformers = need("llama_cpp", "torch", "transformers")
PROMPT = "The table that was made by"
NEW = 24


def export(program, source, work, name, *options):
    out = os.path.join(work, name)
    loom(program, "model", *options, source, f"--out={out}")
    return out


def of_transformers(folder):
    """The ids of the prompt, and those that follow greedily."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(PROMPT, return_tensors="pt", add_special_tokens=False).input_ids
    with torch.no_grad():
        out = model.generate(ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False)
    return ids[0].tolist(), out[0, ids.shape[1]:].tolist()


def of_llama_cpp(path):
    model = llama_cpp.Llama(path, n_ctx=128, logits_all=True, verbose=False)
    ids = model.tokenize(PROMPT.encode(), add_bos=False, special=False)
    prompt, end = list(ids), model.token_eos()
    model.eval(ids)
    for _ in range(NEW):
        row = model.scores[model.n_tokens - 1].copy()
        row[end] = -float("inf")   # as min_new_tokens
        ids.append(int(row.argmax()))
        model.eval(ids[-1:])
    return prompt, ids[len(prompt):]


def same(a, b):
    """How many ids agree before the first that does not."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def main():
    program, folder, work = sys.argv[1:]
    gguf = export(program, folder, work, "exported.gguf", "export", "--type=f32")
    back = export(program, gguf, work, "exported.hf", "export", "--to=hf")
    eight = export(program, folder, work, "exported.q8.gguf", "quantize", "--type=q8_0", "--fall-back")
    prompt, want = of_transformers(folder)
    ours, theirs = of_llama_cpp(gguf), of_transformers(back)
    in_eight = of_llama_cpp(eight)
    ok = ours == (prompt, want) and theirs == (prompt, want) and in_eight[0] == prompt
    verdict(ok, f"{NEW} ids after {len(prompt)}: llama.cpp agrees for {same(ours[1], want)}, transformers with the folder "
                f"made of the GGUF file for {same(theirs[1], want)}, llama.cpp in 8 bits for {same(in_eight[1], want)}")


main()
