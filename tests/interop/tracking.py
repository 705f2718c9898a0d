"""What the checks of trackers share: a small run that is followed, whole, killed or stopped."""
import json
import os
import signal
import subprocess
import time

SMALL = ["--dim=32", "--layers=1", "--heads=2", "--kv-heads=1", "--ffn-dim=32", "--context=32", "--batch-tokens=256",
         "--checkpoint-every=10", "--eval-every=25"]


class Run:
    def __init__(self, loom, tokens, tokenizer, folder, name, target, *options):
        self.out = os.path.join(folder, name)
        self.command = [loom, "pretrain", f"--tokens={tokens}", f"--tokenizer={tokenizer}", f"--out={self.out}",
                        f"--project={folder}", f"--track={target}", "--quiet", *SMALL, *options]

    def to_end(self):
        done = subprocess.run(self.command, capture_output=True, encoding="utf-8", timeout=120)
        if done.returncode:
            raise RuntimeError(f"loom ended with {done.returncode}: {done.stderr}")
        return done.stderr

    def interrupted(self, which, after_step):
        """Sends the signal once a checkpoint of this step or a later one is there; the exit status."""
        process = subprocess.Popen(self.command, stderr=subprocess.PIPE)
        while process.poll() is None:
            try:
                names = [n for n in os.listdir(self.out + ".work") if n.endswith(".json")]
            except FileNotFoundError:
                names = []
            if any(int(n.rsplit("-", 1)[1].split(".")[0]) >= after_step for n in names):
                process.send_signal(which)
                break
            time.sleep(0.005)
        process.communicate(timeout=60)
        return process.returncode

    def killed(self, after_step):
        if self.interrupted(signal.SIGKILL, after_step) != -signal.SIGKILL:
            raise RuntimeError("the run was too fast to be killed")

    def series(self):
        """metrics.jsonl as {name: [(step, value), ...]}."""
        found = {}
        with open(os.path.join(self.out, "metrics.jsonl"), encoding="utf-8") as lines:
            for line in map(json.loads, lines):
                step = line.pop("step")
                for name, value in line.items():
                    if isinstance(value, (int, float)):
                        found.setdefault(name, []).append((step, value))
        return found
