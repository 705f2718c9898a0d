"""results.py: rows of measurements in bench/results, as bench/README.md wants them."""
import csv
import os
import pathlib
import subprocess

HEADING = ["machine", "commit", "bench", "case", "value", "unit", "runs"]


def stamp():
    """Machine and commit."""
    program = pathlib.Path(__file__).resolve().parent.parent / "stamp.sh"
    return subprocess.run(["sh", program], capture_output=True, text=True, check=True).stdout.strip().split(",")


def keep(folder, subject, rows):
    """Rows of (case, value, unit, runs) go to FOLDER/<machine>-SUBJECT.csv, instead of those of the same cases there and
    below the others; a file is changed whole or not at all.  Returns its path."""
    machine, commit = stamp()
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(folder) / f"{machine}-{subject}.csv"
    new = [[machine, commit, subject, case, f"{value:.6g}" if isinstance(value, float) else str(value), unit, str(runs)]
           for case, value, unit, runs in rows]
    measured = {(row[3], row[5]) for row in new}
    old = list(csv.reader(path.read_text(encoding="ascii").splitlines()))[1:] if path.exists() else []
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", encoding="ascii", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [HEADING, *(row for row in old if (row[3], row[5]) not in measured), *new])
    os.replace(unfinished, path)
    for row in new:
        print(",".join(row), flush=True)
    return path
