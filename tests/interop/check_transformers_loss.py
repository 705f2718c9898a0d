"""check_transformers_loss.py LOOM MODEL_DIR SHARD: the loss of a trained model on held-out documents, in both programs.

The first 20 documents of the token shard, each up to the context.
"""
import sys

import hf_model
from common import ids_of, loom, verdict
from shard import first_documents

DOCUMENTS = 20
TOLERANCE_LOSS, TOLERANCE_TOKEN = 1e-3, 1e-3


def main():
    program, folder, shard = sys.argv[1:]
    model = hf_model.load(folder)
    context = model.config.max_position_embeddings
    texts = [ids[:context] for ids in first_documents(shard, DOCUMENTS) if len(ids) > 1]
    lines = loom(program, "model", "score", folder, lines=(" ".join(map(str, ids)) for ids in texts))
    ours = [float(word) for line in lines for word in line.split()[1:]]
    theirs = [value for ids in texts for value in hf_model.logprobs(model, ids)]
    losses = [-sum(values) / len(values) for values in (ours, theirs)]
    difference, worst = abs(losses[0] - losses[1]), hf_model.worst_difference(ours, theirs)
    verdict(difference <= TOLERANCE_LOSS and worst <= TOLERANCE_TOKEN,
            f"{len(texts)} held-out documents, {len(ours)} tokens: loss {losses[0]:.6f} here, {losses[1]:.6f} there "
            f"(differs by {difference:.1e}, allowed {TOLERANCE_LOSS:.0e}); one token by at most {worst:.1e}")


main()
