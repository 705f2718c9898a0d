"""check_foundation_logits.py ASK MODELS TYPE: logits of SmolLM2 on 20 prompts against transformers.

ASK is build/release/tests/infer/interop_ask, MODELS what bench/peers/setup.sh derived, TYPE f32, f16, bf16, q8_0, q4_0
or q4_1.  The reference computes in float32 from the file's weights, de-quantised: what differs is the arithmetic.  The
noise is the root mean square of the difference, over that of the logits around their mean; it must stay below the
type's limit.  Then 64 tokens are decoded greedily, all prompts together, for f16 and q8_0: where the first other token
appears, the reference must have the two close together.  llama.cpp's figures stand beside when it is installed.
"""
import subprocess
import sys

from common import verdict
from foundation import Peer, ids_line, model_path, numpy, prompts, reference, torch

# Largest noise: rounding of float32 sums; of activations to BF16; of activations in blocks.
LIMITS = {"f32": 1e-4, "f16": 1e-4, "bf16": 3e-2, "q8_0": 2e-3, "q4_0": 2e-3, "q4_1": 2e-3}
GREEDY = {"f16", "q8_0"}
NEW_TOKENS, END = 64, 2
TIE_SIGMAS = 6


def ask(program, *arguments, lines):
    done = subprocess.run([program, *arguments], input="".join(map(ids_line, lines)).encode(), capture_output=True)
    if done.returncode:
        verdict(False, f"{' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout


def reference_logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


class Noise:
    """Differences from the reference, gathered over the prompts."""

    def __init__(self):
        self.difference = self.signal = 0.0
        self.largest, self.places, self.same_first = 0.0, 0, 0

    def add(self, values, reference):
        difference = values.astype(numpy.float64) - reference
        self.difference += (difference ** 2).mean(1).sum()
        self.signal += reference.astype(numpy.float64).var(1).sum()
        self.largest = max(self.largest, numpy.abs(difference).max())
        self.places += len(values)
        self.same_first += (values.argmax(1) == reference.argmax(1)).sum()

    def share(self):
        return (self.difference / self.signal) ** 0.5

    def rms(self):
        return (self.difference / self.places) ** 0.5

    def __str__(self):
        return (f"noise {self.share():.1e}, at most {self.largest:.1e}, the same first token at {self.same_first} of "
                f"{self.places} places")


def compare_greedy(program, path, model, lines, noise):
    """(how many answers are the reference's own, sentences about differences that no near tie explains)

    One pass over prompt and answer tells: up to the first other token, both have read the same."""
    said = ask(program, "greedy", path, str(NEW_TOKENS), lines=lines).decode().splitlines()
    same, wrong = 0, []
    for number, (ids, line) in enumerate(zip(lines, said, strict=True), 1):
        answer = [int(word) for word in line.split()]
        if len(answer) != NEW_TOKENS and END not in answer[-1:]:
            wrong.append(f"prompt {number}: ends after {len(answer)} tokens")
        logits = reference_logits(model, ids + answer)[len(ids) - 1:-1]
        others = (logits.argmax(1) != answer).nonzero()[0]
        if len(others) == 0:
            same += 1
            continue
        at = others[0]
        gap = float(logits[at].max() - logits[at, answer[at]])
        if gap > TIE_SIGMAS * noise.rms():
            wrong.append(f"prompt {number}: token {at} is {answer[at]}, {gap:.3f} below {logits[at].argmax()}")
    return same, wrong


def main():
    program, models, kind = sys.argv[1:]
    path = model_path(models, kind)
    lines, model, peer = prompts(models), reference(path), Peer.of(path)
    ours, theirs = Noise(), Noise()
    values = numpy.frombuffer(ask(program, "logits", path, lines=lines), numpy.float32).reshape(-1, 49152)
    if len(values) != sum(map(len, lines)):
        verdict(False, f"{kind}: {len(values)} rows of logits for {sum(map(len, lines))} tokens")
    start = 0
    for ids in lines:
        expected = reference_logits(model, ids)
        ours.add(values[start:start + len(ids)], expected)
        start += len(ids)
        if peer:
            theirs.add(peer.logits(ids), expected)
    said, wrong = f"{kind}, {len(lines)} prompts: {ours} (noise allowed {LIMITS[kind]:.0e})", []
    if peer:
        said += f"; {peer.name}: {theirs}"
    if kind in GREEDY:
        same, wrong = compare_greedy(program, path, model, lines, ours)
        said += f"; {same} of {len(lines)} greedy answers of {NEW_TOKENS} tokens are the same"
        said += "".join(f"; {sentence}" for sentence in wrong)
    verdict(ours.share() <= LIMITS[kind] and not wrong, said)


main()
