"""curve.py LOOM TOKENS TOKENIZER WORK RESULTS [--steps N] [--rows N] [--runs NAME...]: loom's loss beside torch's, step by step.

Both start from the same weights, see the same batches in the same order (the feed of src/train/feed_shard.c, written
down again here) and take the same steps of AdamW. How far the curves may be apart is what torch says of itself: bf16
with another order of its sums (micro-batches), and f32. loom-bf16-muon takes other steps: loom's own. At the end every
model is measured on the held-out documents by transformers in f32. WORK gets every run and a table of all losses,
RESULTS/<machine>-curve.csv the ends and distances.
"""
import argparse
import hashlib
import json
import math
import pathlib
import struct
import subprocess
import sys

import numpy
import torch
import transformers

from results import keep

SHAPE = {"dim": 256, "layers": 5, "heads": 4, "kv-heads": 4, "ffn-dim": 704, "context": 256}   # 5.1 million with 4,096 tokens
PEAK, BETAS, EPS, DECAY, CLIP, SEED = 1e-3, (0.9, 0.95), 1e-8, 0.1, 1.0, 1
MASK64 = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK64
    return z ^ z >> 31


class Rng:
    """src/base/rng.h"""

    def __init__(self, seed, stream):
        self.key = mix(mix(seed + GAMMA & MASK64) ^ mix(stream * GAMMA + 1 & MASK64))
        self.counter = 0

    def next(self):
        self.counter += 1
        return mix(mix(self.key + self.counter * GAMMA & MASK64) ^ (self.key << 32 | self.key >> 32) & MASK64)

    def below(self, bound):
        product = self.next() * bound
        if product & MASK64 < bound:
            while product & MASK64 < (1 << 64) % bound:
                product = self.next() * bound
        return product >> 64


class Shard:
    """src/corpus/shard.h"""

    def __init__(self, path):
        data = path.read_bytes()
        magic, width, self.vocab, tokens, documents, self.text_bytes = struct.unpack_from("<8sIIQQQ", data)
        assert magic == b"LOOMTOK2", path
        self.tokens = numpy.frombuffer(data, "<u2" if width == 2 else "<u4", tokens, 88).astype(numpy.int64)
        at = 88 + (tokens * width + 7) // 8 * 8
        self.ends = numpy.frombuffer(data, "<u8", documents, at).astype(numpy.int64)


def batches(shard, end, rows, positions, steps):
    """Inputs, targets and the start of each position's document."""
    windows = max(len(shard.tokens) // positions - 1, 1)
    stream = numpy.concatenate(([end], shard.tokens))
    starts = numpy.concatenate(([0], shard.ends))
    epoch, order, shift = -1, [], 0
    for step in range(steps):
        batch = []
        for number in range(step * rows, (step + 1) * rows):
            if number // windows != epoch:
                epoch = number // windows
                rng = Rng(SEED, epoch)
                shift = rng.below(len(shard.tokens) - windows * positions + 1)
                order = list(range(windows))
                for left in range(windows, 1, -1):
                    other = rng.below(left)
                    order[left - 1], order[other] = order[other], order[left - 1]
            at = shift + order[number % windows] * positions
            places = numpy.arange(at, at + positions)
            own = starts[numpy.searchsorted(shard.ends, places, side="right")]
            batch.append((stream[at:at + positions], shard.tokens[at:at + positions], numpy.maximum(own - at, 0)))
        yield [torch.from_numpy(numpy.stack(part)) for part in zip(*batch)]


def loss_of(model, inputs, targets, starts):
    t = torch.arange(inputs.shape[1])
    seen = (t[None, None, :] <= t[None, :, None]) & (t[None, None, :] >= starts[:, :, None])
    logits = model(input_ids=inputs, attention_mask=seen[:, None]).logits
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


def train(folder, shard, end, steps, rows, warmup, type_, micro, compiled):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    model.train()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
                                  lr=PEAK, betas=BETAS, eps=EPS, fused=True)
    objective = torch.compile(loss_of) if compiled else loss_of
    losses = []
    for step, batch in enumerate(batches(shard, end, rows, SHAPE["context"], steps)):
        share = (step + 1) / warmup if step < warmup else \
            0.5 * (1 + math.cos(math.pi * min((step + 1 - warmup) / (steps - warmup), 1)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK * share
        sum_ = 0.0
        for row in range(0, rows, micro):
            with torch.autocast("cpu", torch.bfloat16, enabled=type_ == "bf16"):
                loss = objective(model, *(part[row:row + micro] for part in batch)) * micro / rows
            loss.backward()
            sum_ += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(sum_)
    return model, losses


@torch.no_grad()
def bits_per_byte(model, shard, end):
    model.eval()
    nats, first = 0.0, 0
    for last in shard.ends:
        tokens = torch.from_numpy(numpy.concatenate(([end], shard.tokens[first:last])))
        for at in range(0, len(tokens) - 1, SHAPE["context"]):
            piece = tokens[at:at + SHAPE["context"] + 1]
            logits = model(input_ids=piece[None, :-1]).logits[0]
            nats += torch.nn.functional.cross_entropy(logits, piece[1:], reduction="sum").item()
        first = last
    return nats / math.log(2) / shard.text_bytes


def loom(program, tokens, tokenizer, work, name, steps, rows, warmup, precision, lr, muon=False):
    out = work / f"{name}-{hashlib.sha256(str((steps, rows, precision, lr)).encode()).hexdigest()[:8]}"
    if not out.exists():
        flags = [f"--{key}={value}" for key, value in SHAPE.items()]
        flags += [f"--steps={steps}", f"--batch-tokens={rows * SHAPE['context']}", f"--warmup-steps={warmup}",
                  f"--lr={0.02 if muon else lr}", f"--optimizer={'muon' if muon else 'adamw'}", f"--weight-decay={DECAY}", f"--beta1={BETAS[0]}", f"--beta2={BETAS[1]}",
                  f"--adam-eps={EPS}", f"--clip={CLIP}", f"--seed={SEED}", "--eval-every=0", f"--precision={precision}"]
        subprocess.run([program, "pretrain", f"--tokens={tokens}", f"--tokenizer={tokenizer}", f"--out={out}", *flags],
                       check=True)
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return out, [line["loss"] for line in log if "loss" in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs=5, metavar="PATH")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--runs", nargs="+", default=["loom-bf16", "torch-bf16", "torch-bf16-micro", "torch-f32"])
    args = parser.parse_args()
    program, tokens, tokenizer, work, results = map(pathlib.Path, args.paths)
    work.mkdir(parents=True, exist_ok=True)
    train_shard, heldout = Shard(tokens / "train.tokens"), Shard(tokens / "heldout.tokens")
    warmup = max(args.steps // 20, 1)
    start, _ = loom(program, tokens, tokenizer, work, "start", 1, args.rows, 1, "f32", 1e-9)   # the weights before any step
    end = json.loads((start / "config.json").read_text())["bos_token_id"]
    curves, ends = {}, {}
    for run in args.runs:
        who, type_, *how = run.split("-")
        if who == "loom":
            folder, losses = loom(program, tokens, tokenizer, work, run, args.steps, args.rows, warmup, type_, PEAK,
                                  how == ["muon"])
            model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        else:
            kept = work / f"{run}-{args.steps}-{args.rows}.json"   # as loom's runs are kept
            if kept.exists():
                curves[run], ends[run] = json.loads(kept.read_text())
                curves[run] = numpy.array(curves[run])
                continue
            model, losses = train(start, train_shard, end, args.steps, args.rows, warmup, type_,
                                  args.rows // 2 if how == ["micro"] else args.rows, how == ["compile"])
        curves[run], ends[run] = numpy.array(losses), bits_per_byte(model, heldout, end)
        if who == "torch":
            kept.write_text(json.dumps([losses, ends[run]]))
        print(f"{run}: last loss {losses[-1]:.4f}, held-out {ends[run]:.5f} bits per byte", file=sys.stderr, flush=True)
    case = f"{args.steps} steps of {args.rows * SHAPE['context']} tokens"
    rows = [(f"{case}; {run} held-out", bits, "bits per byte", 1) for run, bits in ends.items()]
    for a, b in [(a, b) for i, a in enumerate(args.runs) for b in args.runs[i + 1:]]:
        apart = numpy.abs(curves[a] - curves[b])
        rows.append((f"{case}; {a} and {b} apart at most", float(apart.max()), "nats", 1))
        rows.append((f"{case}; {a} and {b} apart on average", float(apart.mean()), "nats", 1))
    keep(results, "curve", rows)
    (work / f"curves-{args.steps}.csv").write_text(
        "step," + ",".join(curves) + "\n" + "".join(
            f"{step + 1}," + ",".join(f"{curves[run][step]:.5f}" for run in curves) + "\n" for step in range(args.steps)))


if __name__ == "__main__":
    main()
