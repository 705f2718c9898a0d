"""infer.py LOOM MODELS RESULTS: loom and llama.cpp by turns on the same files.

`loom bench infer` and peer_llama.py measure the same cases on the models of the folder MODELS, which setup.sh made:
five times on each side, turn and turn about, each time in a new process.  RESULTS/<machine>-peers.csv gets both medians
and their ratio (above 1: loom is faster).  A turn in which other processes took more than a seventh of the processors
that the case needs is repeated; when the machine does not come to rest, the least disturbed turns count, and the case
says so.  Some cases have four busy foreign processes on purpose.
"""
import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import llama_cpp
from results import keep

RUNS = 5
TURNS_MAX = 10   # of each side, disturbed ones included
FOREIGN_MAX = 0.15
TYPES = ["q8_0", "q4_0", "q4_1", "f16", "bf16"]
CASES = [   # case of both programs, threads, busy foreign processes
    ("decode", 1, 0), ("decode", 2, 0), ("batch16", 2, 0), ("prompt512", 2, 0), ("decode", 2, 4), ("load", 2, 0)]
URGENT = ["chrt", "--fifo", "5"]
BUSY = ["sh", "-c", "while :; do :; done"]
PEER = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}"
HERE = pathlib.Path(__file__).resolve().parent


def named(case, busy):
    """What --cases calls it."""
    return "busy" if busy else case


def busy_seconds():
    """All that the processors did since the start of the machine."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds():
    return sum(usage.ru_utime + usage.ru_stime for usage in
               (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def turn(command, threads):
    """One measurement: (share of the processors it needs that others had, value, unit, share of the roof or None)."""
    others, start = busy_seconds() - own_seconds(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"infer.py: {' '.join(map(str, command))} ended with {done.returncode}: {done.stderr.strip()}")
    others, seconds = busy_seconds() - own_seconds() - others, time.monotonic() - start
    (_, _, value, unit, _), *more = (line.split(",") for line in done.stdout.splitlines())
    share = float(more[0][2]) if more else None
    taken = others / seconds - (os.cpu_count() - threads)
    return max(0, taken) / threads, float(value), unit, share


def alternate(commands, threads, foreign_max):
    """Side -> its RUNS least disturbed turns."""
    turns = {side: [] for side in commands}
    for _ in range(TURNS_MAX):
        for side, command in commands.items():
            turns[side].append(turn(command, threads))
        if all(sum(t[0] <= foreign_max for t in of_side) >= RUNS for of_side in turns.values()):
            break
    return {side: sorted(of_side, key=lambda t: t[0])[:RUNS] for side, of_side in turns.items()}


def measure(programs, model, case, threads, busy):
    """The rows of one case."""
    commands = {side: [*program, str(model), f"--case={case}", f"--threads={threads}", "--runs=1"]
                for side, program in programs.items()}
    foreign = [subprocess.Popen(BUSY) for _ in range(busy)]
    try:
        turns = alternate(commands, threads, 1 if busy else FOREIGN_MAX)
    finally:
        for process in foreign:
            process.kill()
            process.wait()
    worst = max(t[0] for of_side in turns.values() for t in of_side)
    name = f"{case} {model.stem.rsplit('-', 1)[-1]} {threads} thread{'s' * (threads > 1)}"
    name += f" beside {busy} busy processes" if busy else f" disturbed {worst:.0%}" if worst > FOREIGN_MAX else ""
    unit = next(iter(turns.values()))[0][2]
    medians = {side: statistics.median(t[1] for t in of_side) for side, of_side in turns.items()}
    rows = [(f"{name} {side}", median, unit, RUNS) for side, median in medians.items()]
    shares = [t[3] for t in turns.get("loom", []) if t[3] is not None]
    if shares and not busy:
        rows.append((f"{name} loom share of memory read", statistics.median(shares), "percent", RUNS))
    if len(medians) == 2:
        loom, peer = medians["loom"], medians[PEER]
        rows.append((f"{name} loom / llama.cpp", peer / loom if case == "load" else loom / peer, "times as fast", RUNS))
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("loom")
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--cases", default=",".join(dict.fromkeys(named(case, busy) for case, _, busy in CASES)))
    parser.add_argument("--only", choices=["loom", "peer"], help="measure one side")
    parser.add_argument("--urgent", action="store_true",
                        help="real-time priority, but where others are busy on purpose: for a machine that does not "
                        "come to rest; needs the right to it")
    options = parser.parse_args()
    programs = {"loom": [options.loom, "bench", "infer"], PEER: [sys.executable, str(HERE / "peer_llama.py")]}
    if options.only:
        programs.pop(PEER if options.only == "loom" else "loom")
    urgent = {side: [*URGENT, *program] for side, program in programs.items()} if options.urgent else programs
    for case, threads, busy in CASES:
        for kind in options.types.split(",") if named(case, busy) in options.cases.split(",") else []:
            model = options.models / f"smollm2-135m-{kind}.gguf"
            keep(options.results, "peers", measure(programs if busy else urgent, model, case, threads, busy))


main()
