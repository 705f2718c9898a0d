"""check_tokenizer_training.py DOCUMENTS TOKENIZER...: tokenizers' BpeTrainer learns the same merges as loom did.

Each tokenizer (a folder that `loom tokenizer train` made from DOCUMENTS) is trained again, with its own pre-tokenizer,
special tokens and size.
"""
import json
import sys

from common import contents, need, verdict

tokenizers, = need("tokenizers")


def retrain(folder, texts):
    with open(f"{folder}/tokenizer.json", encoding="utf-8") as file:
        ours = json.load(file)
    special = [token["content"] for token in sorted(ours["added_tokens"], key=lambda token: token["id"])]
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json").pre_tokenizer
    theirs.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(
        vocab_size=len(ours["model"]["vocab"]), min_frequency=2, special_tokens=special, show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    return ours["model"], json.loads(theirs.to_str())["model"]


def first_difference(ours, theirs):
    return next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))


def main():
    documents, *folders = sys.argv[1:]
    texts = contents(documents)
    merge_count = 0
    for folder in folders:
        ours, theirs = retrain(folder, texts)
        merges = [[merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
                  for model in (ours, theirs)]
        if merges[0] != merges[1]:
            at = first_difference(*merges)
            verdict(False, f"{folder}: merge {at} of {len(merges[0])} is {merges[0][at:at + 1]}, "
                           f"not {merges[1][at:at + 1]}")
        if ours["vocab"] != theirs["vocab"]:
            verdict(False, f"{folder}: same merges, but other ids")
        merge_count += len(merges[0])
    verdict(True, f"{len(folders)} tokenizers of {sum(map(len, texts)) / 1e6:.1f} M characters: "
                  f"all {merge_count} merges and all ids are the same")


main()
