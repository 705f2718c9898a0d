"""make.py: a small random Llama, two rows of tokens, and what transformers 5.23 with torch 2.15 says about them.

llama/ is the model; llama-gradients.safetensors holds `tokens` (2, 12), `loss`, the mean over the 11 targets of each
row, and the gradient of every tensor by its name, computed in 64 bits and stored in 32.
"""
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent

torch.manual_seed(11)
config = LlamaConfig(vocab_size=40, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3,
                     num_key_value_heads=1, max_position_embeddings=16, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
model = LlamaForCausalLM(config)
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.3 + (1 if parameter.dim() == 1 else 0))
model.save_pretrained(HERE / "llama")
tokens = torch.randint(40, (2, 12))
model = model.double()
loss = model(tokens, labels=tokens).loss
loss.backward()
found = {name: parameter.grad.float().contiguous() for name, parameter in model.named_parameters()}
save_file({**found, "tokens": tokens.int(), "loss": loss.detach().float().reshape(1)}, HERE / "llama-gradients.safetensors")
