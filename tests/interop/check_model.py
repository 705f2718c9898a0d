"""check_model.py MODEL_DIR TOKENS: a random model of unusual shape, saved by loom, computes the same in transformers.

TOKENS has lines "id logprob": a token and ln P(token | those before it) as loom computed it, 0 for the first (the
program interop_model writes such a file).
"""
import sys

import hf_model
from common import verdict

TOLERANCE = 1e-4


def main():
    folder, path = sys.argv[1:]
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file]
    ours = [float(row[1]) for row in rows[1:]]
    theirs = hf_model.logprobs(hf_model.load(folder), [int(row[0]) for row in rows])
    worst = hf_model.worst_difference(ours, theirs)
    verdict(worst <= TOLERANCE, f"{len(rows)} tokens, log-probabilities differ by at most {worst:.1e} (allowed "
                                f"{TOLERANCE:.0e}; they span {max(theirs) - min(theirs):.1f})")


main()
