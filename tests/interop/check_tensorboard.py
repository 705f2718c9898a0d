"""check_tensorboard.py LOOM TOKENS TOKENIZER WORK: TensorBoard reads what --track tensorboard:DIR writes.

A run that was killed twice shows every step once, with the numbers of metrics.jsonl (as 32-bit floats).
"""
import os
import struct
import sys

from common import need, verdict
from tracking import Run

loom, tokens, tokenizer, work = sys.argv[1:]
accumulators, = need("tensorboard.backend.event_processing.event_accumulator")
folder = os.path.join(work, "tensorboard")
os.makedirs(folder)
logs = os.path.join(folder, "logs")

run = Run(loom, tokens, tokenizer, folder, "run", f"tensorboard:{logs}", "--steps=300")
run.killed(40)
run.killed(150)
run.to_end()

folders = os.listdir(logs)
if len(folders) != 1 or not folders[0].startswith("pretrain-"):
    verdict(False, f"the folders are {folders}")
accumulator = accumulators.EventAccumulator(os.path.join(logs, folders[0]), size_guidance={"scalars": 0})
accumulator.Reload()
seen = {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}
want = {name: [(step, struct.unpack("f", struct.pack("f", value))[0]) for step, value in points]
        for name, points in run.series().items()}
wrong = [name for name in want if seen.get(name) != want[name]]
extra = [name for name in seen if name not in want and not name.startswith("speed/")]
speed = [name for name in seen if name.startswith("speed/")]
verdict(not wrong and not extra and speed and len(want["loss"]) == 300,
        f"{sum(map(len, want.values()))} points of {len(want)} series, a run killed twice"
        + (f"; differ: {wrong}, unknown: {extra}" if wrong or extra else ""))
