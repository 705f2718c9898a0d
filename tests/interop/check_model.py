#!/usr/bin/env python3
"""check_model.py MODEL_DIR TOKENS: a folder that loom saved loads in transformers and computes the same.

TOKENS has lines "id logprob": a token and ln P(token | those before it) as loom computed it, 0 for the first (the
program interop_model writes such a file).  Prints the largest difference; exit status 1 if it exceeds 1e-4, or if
transformers changes a weight or finds names missing or left over.
"""
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

TOLERANCE = 1e-4


def load(folder):
    config = AutoConfig.from_pretrained(folder)
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    names = {key: sorted(value) for key, value in report.items() if value}
    # A tied head has no tensor of its own: older versions list it as missing.
    if config.tie_word_embeddings and names.get("missing_keys") == ["lm_head.weight"]:
        del names["missing_keys"]
    if names:
        sys.exit(f"{folder}: loading reports {names}")
    return model.eval()


def check_weights(folder, model):
    state = model.state_dict()
    for name, saved in load_file(f"{folder}/model.safetensors").items():
        if not torch.equal(saved, state[name]):
            sys.exit(f"{folder}: tensor {name} differs after loading")


def main():
    folder, path = sys.argv[1:]
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file]
    tokens = torch.tensor([[int(row[0]) for row in rows]])
    ours = torch.tensor([float(row[1]) for row in rows[1:]], dtype=torch.float64)

    model = load(folder)
    check_weights(folder, model)
    with torch.no_grad():
        logits = model(tokens).logits[0].double()
    theirs = torch.log_softmax(logits, -1)[:-1].gather(1, tokens[0, 1:, None])[:, 0]
    worst = (ours - theirs).abs().max().item()
    spread = (theirs.max() - theirs.min()).item()
    print(f"{folder}: {len(rows)} tokens, log-probabilities differ by at most {worst:.2e} (they span {spread:.1f})")
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
