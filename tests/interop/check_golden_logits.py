"""check_golden_logits.py ASK GOLDEN: logits of the small random models of tests/golden against the transformers that is
installed, on longer texts than their vectors, and the GGUF files against the folders of the same weights."""
import json
import pathlib
import random
import subprocess
import sys

import hf_model
from common import need, verdict

numpy, torch = need("numpy", "torch")

# Of the largest logit: sums in another order; where weights are BF16, loom may round activations to BF16, too.
TOLERANCES = {"float32": 1e-4, "float16": 1e-4, "bfloat16": 3e-2}
LENGTHS = [1, 17, 31]


def ask(program, path, lines):
    done = subprocess.run([program, "logits", path], capture_output=True,
                          input="".join(" ".join(map(str, ids)) + "\n" for ids in lines).encode())
    if done.returncode:
        verdict(False, f"{path}: {done.stderr.decode().strip()}")
    return numpy.frombuffer(done.stdout, numpy.float32)


def main():
    program, golden = sys.argv[1], pathlib.Path(sys.argv[2])
    rng = random.Random(5)
    lines = [[rng.randrange(64) for _ in range(length)] for length in LENGTHS]
    worst, good = {}, True
    for folder in sorted(path.parent for path in golden.glob("*/config.json")):
        if folder.name == "bert":   # an encoder has no logits
            continue
        model = hf_model.load(folder)
        tolerance = TOLERANCES[json.loads((folder / "config.json").read_text())["dtype"]]
        with torch.no_grad():
            theirs = numpy.concatenate([model(torch.tensor([ids])).logits[0].numpy() for ids in lines])
        for path in [folder, folder.with_suffix(".gguf")]:
            if path.exists():
                ours = ask(program, path, lines).reshape(theirs.shape)
                worst[path.name] = float(numpy.abs(ours - theirs).max() / numpy.abs(theirs).max())
                good &= worst[path.name] <= tolerance
    most = max(worst, key=worst.get)
    verdict(good, f"{len(worst)} models ({', '.join(worst)}), {sum(LENGTHS)} positions each: "
                  f"logits differ by at most {worst[most]:.1e} of the largest ({most})")


main()
