"""check_growth.py LOOM MODEL DOCUMENTS WORK: a grown tokenizer and model, read by tokenizers and transformers.

Old ids and texts without new tokens stay as they were, a text with new tokens takes apart into its old ids, and the
logits of the old tokens are the same.
"""
import json
import sys

from common import contents, loom, need, verdict

tokenizers, torch, transformers = need("tokenizers", "torch", "transformers")


def take_apart(ids, grown):
    pieces = {token["id"]: token["pieces"] for token in grown["tokens"]}
    return [piece for i in ids for piece in pieces.get(i, [i])]


def check_tokenizer(model, folder, texts):
    old, new = (tokenizers.Tokenizer.from_file(f"{path}/tokenizer.json") for path in (model, folder))
    with open(f"{folder}/grown.json", encoding="utf-8") as file:
        grown = json.load(file)
    for token, i in old.get_vocab().items():
        if new.token_to_id(token) != i:
            verdict(False, f"{token!r} had the id {i} and has {new.token_to_id(token)}")
    for token in grown["tokens"]:
        if new.token_to_id(token["token"]) != token["id"]:
            verdict(False, f"new token {token} has the id {new.token_to_id(token['token'])}")
    before = after = 0
    for text in texts:
        a, b = (t.encode(text, add_special_tokens=False).ids for t in (old, new))
        if take_apart(b, grown) != a:
            verdict(False, f"other ids than before for {text[:60]!r}")
        before, after = before + len(a), after + len(b)
    return len(grown["tokens"]), before, after


def check_logits(model, folder):
    old, new = (transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32) for path in (model, folder))
    size = old.get_input_embeddings().weight.shape[0]
    ids = torch.randint(size, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        worst = (old(ids).logits - new(ids).logits[..., :size]).abs().max().item()
    return worst, new.get_input_embeddings().weight.shape[0]


def main():
    program, model, documents, work = sys.argv[1:]
    loom(program, "tokenizer", "grow", documents, f"--tokenizer={model}", f"--out={work}/grown-tokenizer",
         "--tokens-max=300", "--count-min=20")
    loom(program, "model", "grow", model, f"--tokenizer={work}/grown-tokenizer", f"--out={work}/grown-model")
    count, before, after = check_tokenizer(model, f"{work}/grown-model", contents(documents)[:200])
    worst, size = check_logits(model, f"{work}/grown-model")
    verdict(worst <= 1e-5 and after < before,
            f"{count} new tokens, {size} rows; {before} ids become {after}; logits of old tokens differ by {worst:.1e}")


main()
