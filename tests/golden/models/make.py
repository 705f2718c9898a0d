"""Small random models of every architecture, and what transformers computes with them.

    python3 tests/golden/models/make.py        (transformers 5.23.0, torch 2.15.0, gguf 0.19.0)

Each folder <name>/ holds what save_pretrained wrote (config.json, model.safetensors) and expected.f32:
little-endian float32, for the twelve tokens TOKENS one row each of logits (BERT: of the last hidden state),
computed in float32 from the weights as stored.  frequencies.f32 holds the rotation of each pair and, last,
the factor of cosines and sines.  llama.gguf and gpt2.gguf hold the same weights as the folders, laid out as
llama.cpp's converter does.
"""

import pathlib
import shutil

import gguf
import numpy as np
import torch
import transformers
from transformers import (BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
                          MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)

HERE = pathlib.Path(__file__).parent
VOCAB = 64
TOKENS = [(5 * i + 1) % VOCAB for i in range(12)]
SIZES = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)

MODELS = {
    "llama": (LlamaForCausalLM, torch.float32,
              LlamaConfig(**SIZES, num_key_value_heads=2, rope_parameters=LLAMA3, tie_word_embeddings=False)),
    "mistral": (MistralForCausalLM, torch.bfloat16,
                MistralConfig(**SIZES, num_key_value_heads=2, head_dim=16, sliding_window=4)),
    "qwen2": (Qwen2ForCausalLM, torch.float16,
              Qwen2Config(**SIZES, num_key_value_heads=1, tie_word_embeddings=True, use_sliding_window=True,
                          sliding_window=3, max_window_layers=1)),
    "qwen3": (Qwen3ForCausalLM, torch.bfloat16,
              Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=16, rope_parameters=YARN)),
    "gpt2": (GPT2LMHeadModel, torch.float32,
             GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_inner=64, n_positions=32, bos_token_id=2,
                        eos_token_id=2)),
    "bert": (BertModel, torch.float32,
             BertConfig(vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=64, max_position_embeddings=32)),
}


def fill(model):
    """Wide enough that attention is far from uniform, and no bias or gain is a neutral element."""
    random = torch.Generator().manual_seed(7)
    for name, p in model.named_parameters():
        x = torch.randn(p.shape, generator=random)
        if p.dim() == 2:
            p.data = x * (1.5 / min(p.shape) ** 0.5)
        else:
            p.data = x * 0.2 + (1 if "norm" in name.lower() or "ln_" in name else 0) * (not name.endswith("bias"))


def logits(model):
    with torch.no_grad():
        out = model(torch.tensor([TOKENS]))
    return (out.logits if hasattr(out, "logits") else out.last_hidden_state)[0].numpy()


def frequencies(model):
    rotary = getattr(model.model, "rotary_emb", None) if hasattr(model, "model") else None
    if rotary is None:
        return None
    return np.append(rotary.inv_freq.float().numpy(), np.float32(rotary.attention_scaling))


def paired(w, heads):
    """llama.cpp's order of the rows of Q and K."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def write_llama(model, config):
    """A sentencepiece-like vocabulary, one character a piece; scaled RoPE as a tensor."""
    w = gguf.GGUFWriter(HERE / "llama.gguf", "llama")
    w.add_name("golden")
    w.add_license("mit")
    w.add_block_count(config.num_hidden_layers)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_rope_freq_base(10000.0)
    w.add_rope_dimension_count(8)
    w.add_vocab_size(VOCAB)
    pieces = ["<unk>", "<s>", "</s>", "\u2581"] + [chr(ord("A") + i) for i in range(VOCAB - 4)]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces)
    w.add_token_scores([-float(i) for i in range(VOCAB)])
    w.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    plain = 10000.0 ** (-np.arange(0, 8, 2) / 8)
    w.add_tensor("rope_freqs.weight", (plain / frequencies(model)[:-1]).astype(np.float32))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, p in model.named_parameters():
        x = p.data.numpy()
        if name.endswith("q_proj.weight"):
            x = paired(x, config.num_attention_heads)
        if name.endswith("k_proj.weight"):
            x = paired(x, config.num_key_value_heads)
        w.add_tensor(names.get_name(name, (".weight", ".bias")), np.ascontiguousarray(x))
    finish(w)


def write_gpt2(model, config):
    w = gguf.GGUFWriter(HERE / "gpt2.gguf", "gpt2")
    w.add_block_count(config.n_layer)
    w.add_context_length(config.n_positions)
    w.add_embedding_length(config.n_embd)
    w.add_feed_forward_length(config.n_inner)
    w.add_head_count(config.n_head)
    w.add_layer_norm_eps(config.layer_norm_epsilon)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, config.n_layer)
    for name, p in model.named_parameters():
        x = p.data.numpy()
        if name.endswith(("attn.c_attn.weight", "c_proj.weight", "c_fc.weight")):
            x = x.T
        w.add_tensor(names.get_name(name, (".weight", ".bias")), np.ascontiguousarray(x))
    finish(w)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    for name, (cls, dtype, config) in MODELS.items():
        model = cls(config)
        fill(model)
        model = model.to(dtype)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        # As a user would open it: in float32, with rotations that never were in the stored type.
        model = cls.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        logits(model).astype("<f4").tofile(folder / "expected.f32")
        if frequencies(model) is not None:
            frequencies(model).astype("<f4").tofile(folder / "frequencies.f32")
        if name == "llama":
            write_llama(model, config)
        if name == "gpt2":
            write_gpt2(model, config)


main()
