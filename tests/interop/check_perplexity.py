"""check_perplexity.py LOOM MODELS TYPE MANUAL: perplexity of 100 kB of the PostgreSQL manual, by loom and transformers
in float32 from the weights of the file, de-quantised; by llama.cpp, too, where it is installed.

MANUAL is the folder of HTML pages.  All read the same windows of 512 ids, each from an empty cache, and predict all ids
of a window but the first.
"""
import html.parser
import math
import pathlib
import sys

import hf_model
from common import loom, verdict
from foundation import Peer, model_path, numpy, reference, tokenizers

BYTES, WINDOW = 100_000, 512
TOLERANCE = 1e-3   # of the perplexity: three digits


class Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.pieces, self.hidden = [], 0

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("script", "style", "title")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style", "title")

    def handle_data(self, data):
        if not self.hidden:
            self.pieces.append(data)


def manual_text(folder):
    """Every fortieth page, by name, until there is enough."""
    text = Text()
    for page in sorted(pathlib.Path(folder).glob("*.html"))[::40]:
        text.feed(page.read_text(encoding="utf-8"))
    return "".join(text.pieces).encode()[:BYTES].decode(errors="ignore")


def log_probabilities(logits, ids):
    """ln P of ids[1:], from the logits after ids[:-1]."""
    logits = logits[:-1].astype(numpy.float64)
    most = logits.max(1)
    sums = numpy.log(numpy.exp(logits - most[:, None]).sum(1)) + most
    return logits[numpy.arange(len(ids) - 1), ids[1:]] - sums


def main():
    program, models, kind, manual = sys.argv[1:]
    path = model_path(models, kind)
    text = manual_text(manual)
    ids = tokenizers.Tokenizer.from_file(f"{models}/smollm2-hf/tokenizer.json").encode(text).ids
    windows = [ids[at:at + WINDOW] for at in range(0, len(ids) - 1, WINDOW)]
    predicted = len(ids) - len(windows)
    said = loom(program, "model", "score", path, lines=[" ".join(map(str, window)) for window in windows])
    ours = math.exp(-sum(float(word) for line in said for word in line.split()) / predicted)
    model = reference(path)
    theirs = math.exp(-sum(sum(hf_model.logprobs(model, window)) for window in windows) / predicted)
    difference = abs(ours / theirs - 1)
    said = (f"{kind}, {len(text.encode())} bytes, {predicted} tokens: {ours:.4f}, transformers {theirs:.4f}, "
            f"{difference:.1e} apart (allowed {TOLERANCE:.0e})")
    peer = Peer.of(path)
    if peer:
        of_peer = sum(log_probabilities(peer.logits(window), window).sum() for window in windows)
        said += f"; {peer.name}: {math.exp(-of_peer / predicted):.4f}"
    verdict(difference <= TOLERANCE, said)


main()
