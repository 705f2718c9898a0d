"""train.py BENCH RESULTS [CASE...]: loom's trainer and torch's, turn and turn about, on the same models and batches.

BENCH is the program bench_train; torch runs in every way it has (f32 and bf16, eager and compiled), each time in a
process of its own.  RESULTS/<machine>-train.csv gets the medians of RUNS turns and the ratio to torch's best.
"""
import pathlib
import statistics
import subprocess
import sys

from results import keep

RUNS = 3
HERE = pathlib.Path(__file__).resolve().parent
WAYS = [("bf16", "compile"), ("bf16", "eager"), ("f32", "compile"), ("f32", "eager")]
MICRO = {"15m": "16", "110m": "2"}   # the fastest for torch


def rows_of(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        sys.exit(f"train.py: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return [line.split(",") for line in done.stdout.splitlines()]


def main():
    bench, results, *cases = sys.argv[1:]
    for case in cases or MICRO:
        values = {}
        for _ in range(RUNS):
            for _, name, value, unit, _ in rows_of([bench, case, "1"]):
                values.setdefault((f"{name} loom", unit), []).append(float(value))
            for type_, how in WAYS:
                for _, name, value, unit, _ in rows_of([sys.executable, str(HERE / "peer_torch.py"), case, "--type", type_,
                                                        "--how", how, "--steps", "1", "--micro", MICRO[case]]):
                    values.setdefault((name, unit), []).append(float(value))
        medians = {key: statistics.median(of_key) for key, of_key in values.items()}
        best = max(value for (name, unit), value in medians.items() if "torch" in name)
        medians[(f"{case} loom / best of torch", "times as fast")] = medians[(f"{case} loom", "tokens/s")] / best
        keep(results, "train", [(name, value, unit, RUNS) for (name, unit), value in medians.items()])


if __name__ == "__main__":
    main()
