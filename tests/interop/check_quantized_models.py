"""check_quantized_models.py LOOM ASK WORK: every architecture in every type that `loom model quantize` writes.

Random models of transformers go through loom into GGUF files.  gguf de-quantises each file, transformers computes in
float32 from these weights: the logits that loom gives for the file differ by the rounding of activations only.
"""
import pathlib
import random
import subprocess
import sys

import hf_model
from common import loom, need, verdict

numpy, torch, transformers, gguf = need("numpy", "torch", "transformers", "gguf")

LIMITS = {"f32": 1e-5, "f16": 1e-5, "bf16": 3e-2, "q8_0": 1e-3, "q4_0": 1e-3, "q4_1": 1e-3, "q5_0": 1e-3, "q5_1": 1e-3}
VOCAB, TOKENS = 320, 40
SIZES = dict(vocab_size=VOCAB, hidden_size=96, intermediate_size=160, num_hidden_layers=2, num_attention_heads=6,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)
MODELS = {
    "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "mistral": (transformers.MistralForCausalLM,
                transformers.MistralConfig(**SIZES, head_dim=32, sliding_window=9)),
    "qwen2": (transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**SIZES, tie_word_embeddings=False)),
    "qwen3": (transformers.Qwen3ForCausalLM, transformers.Qwen3Config(**SIZES, head_dim=32)),
    "gpt2": (transformers.GPT2LMHeadModel,
             transformers.GPT2Config(vocab_size=VOCAB, n_embd=96, n_layer=2, n_head=6, n_inner=160, n_positions=64,
                                     bos_token_id=2, eos_token_id=2)),
}
TRANSPOSED = ("attn.c_attn.weight", "c_proj.weight", "c_fc.weight")   # GPT-2's, in the folder


def fill(model):
    """Wide enough that attention is far from uniform, and no bias or gain is a neutral element."""
    generator = torch.Generator().manual_seed(9)
    for name, p in model.named_parameters():
        values = torch.randn(p.shape, generator=generator)
        gain = not name.endswith("bias") and p.dim() == 1
        p.data = values * (1.5 / min(p.shape) ** 0.5) if p.dim() == 2 else values * 0.2 + gain


def heads_of(reader, name):
    """Of a matrix whose rows GGUF keeps interleaved; 0 for others."""
    arch = reader.get_field("general.architecture").contents()
    count = {"q_proj.weight": "head_count", "k_proj.weight": "head_count_kv"}.get(name.split("self_attn.")[-1])
    return reader.get_field(f"llama.attention.{count}").contents() if arch == "llama" and count else 0


def take_weights(model, path):
    """The file's weights, de-quantised, into the model they came from."""
    reader = gguf.GGUFReader(path)
    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items()
                if name == reader.get_field("general.architecture").contents())
    names = gguf.get_tensor_name_map(arch, 2)
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    for name, p in model.named_parameters():
        values = tensors.pop(names.get_name(name, (".weight", ".bias")))
        if heads := heads_of(reader, name):
            half = values.shape[0] // heads // 2
            values = values.reshape(heads, half, 2, -1).swapaxes(1, 2)
        if name.endswith(TRANSPOSED):
            values = values.T
        p.data = torch.from_numpy(numpy.array(values.reshape(p.shape), dtype=numpy.float32))
    if tensors:
        verdict(False, f"{path.name} has tensors too many: {', '.join(tensors)}")


def noise(model, ask, path):
    rng = random.Random(8)
    ids = [rng.randrange(VOCAB) for _ in range(TOKENS)]
    done = subprocess.run([ask, "logits", path], input=(" ".join(map(str, ids)) + "\n").encode(), capture_output=True)
    if done.returncode:
        verdict(False, f"{path.name}: {done.stderr.decode().strip()}")
    ours = numpy.frombuffer(done.stdout, numpy.float32).reshape(TOKENS, VOCAB)
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0].numpy()
    return float(((ours - theirs) ** 2).mean() ** 0.5 / theirs.std())


def main():
    program, ask, work = sys.argv[1:]
    worst = {}   # type -> (noise, architecture)
    for name, (of_class, config) in MODELS.items():
        model = of_class(config).eval()
        fill(model)
        folder = pathlib.Path(work) / f"whole-{name}"
        model.save_pretrained(folder)
        model = hf_model.load(folder)
        for kind in LIMITS:
            path = folder.with_name(f"{name}-{kind}.gguf")
            loom(program, "model", "quantize", str(folder), f"--type={kind}", f"--out={path}", "--no-with-tokenizer")
            take_weights(model, path)
            worst[kind] = max(worst.get(kind, (0, "")), (noise(model, ask, path), name))
    wrong = [f"{kind}: {worst[kind][1]}" for kind, limit in LIMITS.items() if worst[kind][0] > limit]
    figures = ", ".join(f"{kind} {most:.1e}" for kind, (most, _) in worst.items())
    verdict(not wrong, f"{len(MODELS)} architectures ({', '.join(MODELS)}): noise of the logits at most {figures}"
                       + (f"; too much: {', '.join(wrong)}" if wrong else ""))


main()
