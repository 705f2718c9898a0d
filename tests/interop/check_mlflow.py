"""check_mlflow.py LOOM TOKENS TOKENIZER WORK: a real MLflow server has the runs that --track mlflow:URL tells it of.

Killed and stopped runs go on in the same run of the server; while the server is away training goes on, and `loom
track` sends what is missing; every point is there once.  A private run tells no raw loss or norm.
"""
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from common import need, verdict
from tracking import Run

loom, tokens, tokenizer, work = sys.argv[1:]
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
mlflow, = need("mlflow")
folder = os.path.join(work, "mlflow")
os.makedirs(folder)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One thread of requests over SQLite: what a small team would start."""

    def __init__(self, port):
        self.port, self.process = port, None

    def __enter__(self):
        log = open(os.path.join(folder, "server.log"), "a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={self.port}", "--workers=1",
             f"--backend-store-uri=sqlite:///{folder}/runs.db", f"--default-artifact-root={folder}/artifacts"],
            stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).read()
                return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError("the server does not start")

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)


def runs_of(client, experiment):
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


def complaints(client, run, ours, of_us):
    """What the server has otherwise than metrics.jsonl; every point must be there, and once."""
    found = []
    for name, points in of_us.items():
        history = sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
        if history != points:
            found.append(f"{ours}: {name} has {len(history)} points, {len(points)} expected")
    unknown = [name for name in run.data.metrics if name not in of_us and not name.startswith("speed/")]
    return found + ([f"{ours}: unknown {unknown}"] if unknown else [])


def check():
    port, wrong = free_port(), []
    address = f"http://127.0.0.1:{port}"

    def run(name, *options):
        return Run(loom, tokens, tokenizer, folder, name, f"mlflow:{address}/{name}", *options)

    # The server is away: one warning, and the run ends as if nobody followed.
    away = run("away", "--steps=150")
    said = away.to_end()
    if said.count("warning") != 2 or "'loom track' sends the rest" not in said:
        wrong.append(f"without a server it said: {said}")
    followed = sorted(os.listdir(away.out))
    with Server(port):
        client = mlflow.MlflowClient(address)
        subprocess.run([loom, "track", f"--project={folder}", "--quiet"], check=True)
        again = subprocess.run([loom, "track", f"--project={folder}", "--quiet"]).returncode
        killed = run("killed", "--steps=300")
        killed.killed(40)
        killed.killed(150)
        killed.to_end()
        stopped = run("stopped", "--steps=300")
        ended = stopped.interrupted(signal.SIGINT, 60)
        status = [r.info.status for r in runs_of(client, "stopped")]
        if ended != 130 or status != ["KILLED"]:
            wrong.append(f"a stopped run ended with {ended} and is {status}")
        stopped.to_end()
        private = run("private", "--steps=60", "--dp-noise=1", "--dp-delta=5e-4")
        private.to_end()
        failed = run("failed", "--steps=60", "--optimizer=adamw", "--lr=10", "--clip=0", "--beta2=0")
        failed_rc = subprocess.run(failed.command, capture_output=True).returncode
        # The server goes away in the middle, and comes back.
        between = run("between", "--steps=300")
        between.killed(60)
    between.killed(140)
    with Server(port):
        between.to_end()
        points = 0
        for ours in (away, killed, stopped, private, between):
            name = os.path.basename(ours.out)
            runs = runs_of(client, name)
            if len(runs) != 1 or runs[0].info.status != "FINISHED" or runs[0].info.run_name != "pretrain":
                wrong.append(f"{name}: {[(r.info.run_name, r.info.status) for r in runs]}")
                continue
            wrong += complaints(client, runs[0], name, ours.series())
            points += sum(map(len, ours.series().values()))
            params, tags = runs[0].data.params, runs[0].data.tags
            if params.get("dim") != "32" or params.get("optimizer") != "muon" or tags.get("loom.parameters") is None:
                wrong.append(f"{name}: params {params}, tags {tags}")
        names = set(runs_of(client, "private")[0].data.metrics)
        if not names <= {"lr", "noisy_grad_norm", "heldout_loss", "heldout_bits_per_byte"}:
            wrong.append(f"a private run tells {sorted(names)}")
        status = [r.info.status for r in runs_of(client, "failed")]
        if failed_rc and status != ["FAILED"]:
            wrong.append(f"a run that failed is {status}")
    if again != 99 or any(n.endswith(".jsonl") for n in os.listdir(os.path.join(folder, ".loom", "track"))):
        wrong.append(f"loom track ended with {again}, or left something")
    if "metrics.jsonl" not in followed:
        wrong.append(f"a run that was not followed left {followed}")
    return not wrong, "; ".join(wrong) or (f"{points} points of 5 runs, each there once: killed, stopped, private, "
                                           "without a server, with one that came back")


verdict(*check())
