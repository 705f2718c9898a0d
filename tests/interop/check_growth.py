"""check_growth.py LOOM MODEL DOCUMENTS WORK: a grown tokenizer and model, read by tokenizers and transformers.

Old ids and texts without new tokens stay as they were, a text with new tokens takes apart into its old ids, and the
logits of the old tokens are the same.  Unigram models, a tokenizer.json and sentencepiece's, grow from other documents
than they were trained on; there other old pieces may meet around a new one, in a twentieth of the texts at most.
"""
import json
import os
import sys

from common import contents, ids_of, loom, need, verdict

tokenizers, torch, transformers, sentencepiece = need("tokenizers", "torch", "transformers", "sentencepiece")


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


def same_old_ids(path, grown, count):
    """The first `count` pieces of both files."""
    lists = []
    for name in (path, grown):
        with open(name, encoding="utf-8") as file:
            lists.append(json.load(file)["model"]["vocab"])
    return lists[0][:count] == lists[1][:count]


def check_unigram(program, name, path, old, grown, texts):
    """Texts without new tokens as before, others taken apart as before but for a share; `old` encodes as the file's peer does."""
    mapping = json.load(open(f"{grown}/grown.json", encoding="utf-8"))
    flags = ["--lines", f"--tokenizer={grown}"]
    ids = ids_of(loom(program, "tokenizer", "encode", *flags, lines=map(json.dumps, texts)))
    other = saved = 0
    for text, b in zip(texts, ids, strict=True):
        a = old(text)
        apart = take_apart(b, mapping)
        if apart == b and a != b:
            verdict(False, f"{name}: other ids than before for {text[:60]!r}, which has no new token")
        other, saved = other + (apart != a), saved + len(a) - len(b)
    if other > len(texts) // 20 or saved <= 0:
        verdict(False, f"{name}: {other} of {len(texts)} texts have another way than before, {saved} ids are saved")
    return ids, f"{name}: {len(mapping['tokens'])} new pieces save {saved} ids, {other} of {len(texts)} texts went another way"


def check_unigrams(program, documents, work):
    texts = [part for text in contents(documents)[:200] for part in text.split("\n\n") if part.strip()]
    corpus = f"{work}/unigram-corpus.txt"
    with open(corpus, "w", encoding="utf-8") as file:
        file.write("\n".join(text.replace("\n", " ") for text in texts[::7]))
    os.makedirs(f"{work}/unigram")
    pre, trainer = tokenizers.pre_tokenizers.Metaspace(), tokenizers.trainers.UnigramTrainer(
        vocab_size=2000, special_tokens=["<pad>", "<unk>", "</s>"], unk_token="<unk>", show_progress=False)
    peer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    peer.pre_tokenizer, peer.decoder = pre, tokenizers.decoders.Metaspace()
    peer.train([corpus], trainer)
    peer.add_special_tokens(["<mask>"])   # behind the pieces
    peer.save(f"{work}/unigram/tokenizer.json")
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=f"{work}/grown-spm", vocab_size=2000, minloglevel=2,
                                             hard_vocab_limit=False, max_sentence_length=1 << 20)
    spm = sentencepiece.SentencePieceProcessor(model_file=f"{work}/grown-spm.model")
    loom(program, "tokenizer", "convert", f"{work}/grown-spm.model", f"--out={work}/unigram-spm", "--to=tokenizer.json")
    figures = []
    for name, path, old in (("Unigram", f"{work}/unigram", lambda text: peer.encode(text, add_special_tokens=False).ids),
                            ("sentencepiece", f"{work}/unigram-spm", spm.encode)):
        grown = f"{path}-grown"
        loom(program, "tokenizer", "grow", documents, f"--tokenizer={path}", f"--out={grown}", "--tokens-max=200", "--count-min=20")
        ids, figure = check_unigram(program, name, path, old, grown, texts)
        if not same_old_ids(f"{path}/tokenizer.json", f"{grown}/tokenizer.json", 1000):
            verdict(False, f"{name}: an old piece has another id or score")
        if name == "Unigram":
            new = tokenizers.Tokenizer.from_file(f"{grown}/tokenizer.json")
            wrong = [t for t, i in zip(texts, ids) if new.encode(t, add_special_tokens=False).ids != i]
            if wrong or new.token_to_id("<mask>") != peer.token_to_id("<mask>"):
                verdict(False, f"tokenizers reads the grown file otherwise: {wrong[:1]}")
        figures.append(figure)
    return "; ".join(figures)


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
    unigrams = check_unigrams(program, documents, work)
    verdict(worst <= 1e-5 and after < before,
            f"{count} new tokens, {size} rows; {before} ids become {after}; logits of old tokens differ by {worst:.1e}; {unigrams}")


main()
