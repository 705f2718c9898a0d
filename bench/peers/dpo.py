"""dpo.py LOOM MODEL PAIRS RESULTS [--pairs N] [--types TYPE...] [--peer-steps N]: preferences learned by loom and by trl.

PAIRS is a pairs.jsonl of `loom pairs`; the rejected answer of a question is the answer of another one.  Both start from
MODEL (a Hugging Face folder), take steps of PER_STEP pairs with AdamW in the same order, and know the reference's
log-probabilities before the first step.  loom's seconds of a step are what it says of the whole run, trl's the median of its
loop's; of the types that were run (f32, bf16: autocast) the faster one of each side counts.  The losses of one type are
compared step by step.  The two types go apart by themselves where MODEL was made from a quantised file: a tenth of such
weights lies on a tie of bf16's rounding, and the smallest update moves them by a whole unit.
RESULTS/<machine>-dpo.csv gets the rows.
"""
import argparse
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import datasets
import torch
import transformers
import trl

from curve import Rng
from results import keep

BETA, PEAK, PER_STEP, SEED, POSITIONS, WARMUP = 0.1, 5e-6, 8, 1, 256, 10
FLAGS = [f"--dpo-beta={BETA}", f"--lr={PEAK}", f"--window-size={POSITIONS}", f"--window-stride={POSITIONS}",
         f"--batch-tokens={2 * PER_STEP * POSITIONS}", f"--warmup-steps={WARMUP}", "--weight-decay=0", "--beta2=0.999",
         "--clip=1", f"--seed={SEED}", "--eval-every=0", "--checkpoint-every=0"]


def preferences(path, count):
    """Short pairs, each with the answer of the one half the list away as the rejected one."""
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    rows = [row for row in rows if 10 < len(row["answer"]) < 300 and len(row["question"]) < 200][:count]
    if len(rows) < count:
        raise SystemExit(f"dpo.py: {path} has {len(rows)} pairs that are short enough, not {count}")
    return [{"id": str(i), "snapshot": "s", "question": row["question"], "answer": row["answer"],
             "rejected": rows[(i + count // 2) % count]["answer"], "split": "train"} for i, row in enumerate(rows)]


def order_of(count):
    """As in src/train/dpo.c."""
    rng, order = Rng(SEED, 0), list(range(count))
    for left in range(count, 1, -1):
        other = rng.below(left)
        order[left - 1], order[other] = order[other], order[left - 1]
    return order


def loom(program, model, folder, type_):
    out = folder / f"out-{type_}"
    said = subprocess.run([program, "finetune", f"--model={model}", f"--pairs={folder}/pairs.jsonl", f"--out={out}",
                           "--epochs=1", f"--precision={type_}", *FLAGS], check=True, capture_output=True, text=True).stderr
    made, seconds = re.findall(r"(\d+) steps in ([0-9.]+) s", said)[-1]
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return float(seconds) / int(made), [line["loss"] for line in log if "margin" in line]


class InOrder(trl.DPOTrainer):
    def _get_train_sampler(self, *args, **kwargs):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def peer(model, rows, folder, bf16, steps, schedule_steps):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    def text(row, answer):
        chat = [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row[answer]}]
        prompt = tokenizer.apply_chat_template(chat[:1], tokenize=False, add_generation_prompt=True)
        return prompt, tokenizer.apply_chat_template(chat, tokenize=False)[len(prompt):].rstrip("\n")
    ordered = [rows[i] for i in order_of(len(rows))][:steps * PER_STEP]
    data = datasets.Dataset.from_list([{"prompt": text(row, "answer")[0], "chosen": text(row, "answer")[1],
                                        "rejected": text(row, "rejected")[1]} for row in ordered])
    config = trl.DPOConfig(output_dir=str(folder / "trl"), beta=BETA, learning_rate=PEAK, per_device_train_batch_size=PER_STEP,
                           num_train_epochs=1, adam_beta2=0.999, weight_decay=0.0, max_grad_norm=1.0, bf16=bf16, use_cpu=True,
                           max_length=POSITIONS, logging_steps=1, save_strategy="no", report_to=[],
                           gradient_checkpointing=False, precompute_ref_log_probs=True, precompute_ref_batch_size=PER_STEP,
                           optim="adamw_torch_fused", lr_scheduler_type="constant", disable_tqdm=True)
    network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    network.config.use_cache = False
    for module in network.modules():   # as loom trains: without dropout
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)
    def share(step):
        if step < WARMUP:
            return (step + 1) / WARMUP
        return 0.5 * (1 + math.cos(math.pi * min((step + 1 - WARMUP) / (schedule_steps - WARMUP), 1)))
    trainer = InOrder(model=network, args=config, train_dataset=data, processing_class=tokenizer,
                      optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)))
    marks = []
    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *args, **kwargs):
            marks.append(time.monotonic())
    trainer.add_callback(Clock())
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return [b - a for a, b in zip(marks, marks[1:])], losses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs=4, metavar="PATH")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--types", nargs="+", default=["bf16", "f32"], choices=["bf16", "f32"])
    parser.add_argument("--peer-steps", type=int, help="trl's, of a schedule for all pairs (default: all)")
    args = parser.parse_args()
    program, model, pairs, results = (os.path.abspath(path) for path in args.paths)
    rows = preferences(pairs, args.pairs)
    steps = (args.pairs + PER_STEP - 1) // PER_STEP
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = pathlib.Path(name)
        with open(folder / "pairs.jsonl", "w", encoding="utf-8") as out:
            for row in [*rows, {"id": "h", "snapshot": "s", "question": "Q?", "answer": "A.", "rejected": "B.",
                                "split": "heldout"}]:
                out.write(json.dumps(row) + "\n")
        seconds, curves = {}, {}
        for type_ in args.types:
            seconds["loom", type_], curves["loom", type_] = loom(program, model, folder, type_)
            times, curves["trl", type_] = peer(model, rows, folder, type_ == "bf16", args.peer_steps or steps, steps)
            seconds["trl", type_] = statistics.median(times)
    case, lines = f"{args.pairs} pairs", []
    for (who, type_), value in seconds.items():
        label = f"{who} {trl.__version__} {type_}" if who == "trl" else f"{who} {type_}"
        lines.append((f"{case}; {label}", PER_STEP / value, "pairs/s", 1))
    best = {side: min(value for (who, _), value in seconds.items() if who == side) for side in ("loom", "trl")}
    lines.append((f"{case}; loom / trl", best["trl"] / best["loom"], "times as fast", 1))
    for type_ in args.types:
        apart = [abs(x - y) for x, y in zip(curves["loom", type_], curves["trl", type_])]
        for what, value in (("on average", statistics.mean(apart)), ("at most", max(apart))):
            lines.append((f"{case}; {len(apart)} steps in {type_}; loom and trl apart {what}", value, "nats", 1))
    keep(results, "dpo", lines)


if __name__ == "__main__":
    main()
