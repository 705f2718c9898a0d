"""make.py: a small random Llama and GPT-2, two rows of tokens, and what transformers 5.23 with torch 2.15 says about them.

llama/ and gpt2/ are the models; *-gradients.safetensors hold `tokens` (2, 12), `loss`, the mean over the 11 targets of each
row, and the gradient of every tensor by its name, computed in 64 bits and stored in 32.
GPT-2's matrices are turned to (out, in), and those of Q, K and V are taken apart: "... (q)".
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent


def ours(name, gradient):
    """Gradients by the names and in the layout of loom."""
    if ".c_" in name and name.endswith("weight"):
        gradient = gradient.T
    if ".c_attn." in name:
        return {f"{name} ({part})": piece.contiguous() for part, piece in zip("qkv", gradient.chunk(3))}
    return {name: gradient.contiguous()}


def make(name, model):
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            gain = parameter.dim() == 1 and not path.endswith("bias")
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (1 if gain else 0))
    model.save_pretrained(HERE / name)
    tokens = torch.randint(40, (2, 12))
    model = model.double().eval()
    loss = model(tokens, labels=tokens).loss
    loss.backward()
    found = {}
    for path, parameter in model.named_parameters():
        found.update(ours(path, parameter.grad.float()))
    save_file({**found, "tokens": tokens.int(), "loss": loss.detach().float().reshape(1)},
              HERE / f"{name}-gradients.safetensors")


torch.manual_seed(11)
make("llama", LlamaForCausalLM(LlamaConfig(
    vocab_size=40, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
    max_position_embeddings=16, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)))
make("gpt2", GPT2LMHeadModel(GPT2Config(
    vocab_size=40, n_embd=24, n_inner=20, n_layer=2, n_head=3, n_positions=16, bos_token_id=1, eos_token_id=2)))
