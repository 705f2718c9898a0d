"""peer_torch.py CASE [--type f32|bf16] [--how eager|compile] [--steps N] [--micro N]: a Llama trained by torch, tokens/s.

As good as torch makes it by its own means: one matrix for Q, K and V and one for gate and up, its attention, norm and
loss kernels, its fused AdamW; `compile` is torch.compile in its default mode.  A step is what loom's is: forward, loss,
backward, clipping, AdamW, on 8,192 tokens of random text, in micro-batches of `micro` rows.  bf16 is autocast: weights
and their moments stay f32.  Prints one row as bench/README.md wants it: the median of the steps.
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

CASES = {   # width, layers, heads, ffn, vocabulary, positions, rows of a step
    "15m": (288, 6, 6, 768, 32000, 256, 32),
    "110m": (768, 12, 12, 2048, 32000, 1024, 8),
}


class Layer(nn.Module):
    def __init__(self, width, heads, ffn):
        super().__init__()
        self.heads, self.ffn = heads, ffn
        self.norm1, self.norm2 = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * ffn, bias=False)
        self.down = nn.Linear(ffn, width, bias=False)

    def forward(self, x, cos, sin):
        rows, positions, width = x.shape
        q, k, v = (part.view(rows, positions, self.heads, -1).transpose(1, 2)
                   for part in self.qkv(self.norm1(x)).split(width, dim=-1))
        att = F.scaled_dot_product_attention(turn(q, cos, sin), turn(k, cos, sin), v, is_causal=True)
        x = x + self.out(att.transpose(1, 2).reshape(rows, positions, width))
        gate, up = self.gate_up(self.norm2(x)).split(self.ffn, dim=-1)
        return x + self.down(F.silu(gate) * up)


def turn(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class Llama(nn.Module):
    def __init__(self, width, layers, heads, ffn, vocab, positions):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(Layer(width, heads, ffn) for _ in range(layers))
        self.norm = nn.RMSNorm(width, 1e-5)
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight = self.embed.weight
        half = width // heads // 2
        angles = torch.arange(positions)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--type", default="bf16", choices=["f32", "bf16"])
    parser.add_argument("--how", default="eager", choices=["eager", "compile"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--micro", type=int, default=0, help="rows of a micro-batch, 0: all")
    args = parser.parse_args()
    torch.manual_seed(1)
    *shape, positions, rows = CASES[args.case]
    model = Llama(*shape, positions)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    loss_of = torch.compile(model) if args.how == "compile" else model
    micro = args.micro or rows
    seconds = []
    for _ in range(args.steps + 1):   # the first one compiles and touches memory
        tokens = torch.randint(shape[4], (rows, positions + 1))
        start = time.monotonic()
        for row in range(0, rows, micro):
            part = tokens[row:row + micro]
            with torch.autocast("cpu", torch.bfloat16, enabled=args.type == "bf16"):
                loss = loss_of(part[:, :-1], part[:, 1:])
            (loss * len(part) / rows).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - start)
    rate = rows * positions / statistics.median(seconds[1:])
    name = f"{args.case} {args.type} {args.how} micro {micro} torch {torch.__version__.split('+')[0]}"
    print(f"train,{name},{rate:.6g},tokens/s,{args.steps}")


if __name__ == "__main__":
    main()
