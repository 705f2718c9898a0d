"""check_tokenizer_families.py LOOM DOCUMENTS WORK: sentencepiece, tokenizers and loom turn texts into the same ids.

Vocabularies trained here by sentencepiece go to loom as GGUF files, those of tokenizers (WordPiece, and sentencepiece's
pieces with Metaspace) as tokenizer.json: 500 paragraphs and 1,000 hard texts each; the latter decode as their peer does.
"""
import json
import os
import sys

from common import field, ids_of, loom, need, paragraphs, verdict
from hard_texts import hard_texts

sentencepiece, gguf, tokenizers, numpy = need("sentencepiece", "gguf", "tokenizers", "numpy")

BLANK = "\u2581"
program, documents, work = sys.argv[1:]
folder = f"{work}/families"
os.makedirs(folder)
real = paragraphs(documents, 500)
texts = real + hard_texts(1000, with_special=False) + [f" {BLANK} a{BLANK}b  c ", "<0x41>", "</s>", "\0", "a" * 5000]
texts.append(" ".join(real)[:200000])   # sums of a long text
corpus = f"{folder}/corpus.txt"
with open(corpus, "w") as file:
    file.write("\n".join(real) + "\n" + "\n".join(t.replace("\n", " ").replace("\r", " ") for t in texts[500:900]))

wrong = []


def compare(name, path, encode, decode):
    flags = [f"--tokenizer={path}", "--lines"]
    encoded = loom(program, "tokenizer", "encode", *flags, lines=map(json.dumps, texts))
    decoded = loom(program, "tokenizer", "decode", *flags, lines=encoded)
    for text, ids, back in zip(texts, ids_of(encoded), decoded, strict=True):
        if ids != encode(text):
            wrong.append(f"{name}: ids of {text[:60]!r}")
        elif decode and json.loads(back) != decode(ids):
            wrong.append(f"{name}: text of {text[:60]!r}")


def type_of(peer, piece, user_defined):
    for code, is_type in ((2, peer.is_unknown), (3, peer.is_control), (5, peer.is_unused), (6, peer.is_byte)):
        if is_type(piece):
            return code
    return 4 if peer.id_to_piece(piece) in user_defined else 1


WIDTH = 32
MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def add_model(writer, rows):
    """A Llama of one block, so that the file is a model."""
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tensor("token_embd.weight", numpy.zeros((rows, WIDTH), numpy.float32))
    for name in MATRICES:
        writer.add_tensor(f"blk.0.{name}.weight", numpy.zeros((WIDTH, WIDTH), numpy.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))


def write_gguf(peer, options, path, kind="llama", charsmap=b""):
    pieces = range(peer.get_piece_size())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("default")
    writer.add_token_list([peer.id_to_piece(p) for p in pieces])
    writer.add_token_scores([peer.get_score(p) for p in pieces])
    writer.add_token_types([type_of(peer, p, options.get("user_defined_symbols", ())) for p in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(options.get("add_dummy_prefix", True))
    writer.add_remove_extra_whitespaces(options.get("remove_extra_whitespaces", True))
    if charsmap:
        writer.add_precompiled_charsmap(charsmap)
    add_model(writer, len(pieces))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_t5(name, **kind):
    """Unigram as T5's GGUF files have it; loom writes the file again, with the same keys."""
    options = dict(model_type="unigram", vocab_size=1500, hard_vocab_limit=False, character_coverage=0.98, max_sentence_length=1 << 20) | kind
    prefix = f"{folder}/{name}"
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, minloglevel=2, **options)
    peer = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    with open(f"{prefix}.model", "rb") as file:
        charsmap = field(field(file.read(), 3), 2)
    write_gguf(peer, options, f"{prefix}.gguf", "t5", charsmap)
    compare(name, f"{prefix}.gguf", peer.encode, None)
    loom(program, "model", "export", f"{prefix}.gguf", "--to=gguf", f"--out={prefix}-again.gguf")
    compare(f"{name}, written", f"{prefix}-again.gguf", peer.encode, None)
    files = [gguf.GGUFReader(f"{prefix}{more}.gguf") for more in ("", "-again")]
    for key in ("model", "tokens", "token_type", "scores", "precompiled_charsmap", "add_space_prefix", "remove_extra_whitespaces",
                "bos_token_id", "eos_token_id", "unknown_token_id"):
        fields = [reader.get_field(f"tokenizer.ggml.{key}") for reader in files]
        if not fields[0] and key == "precompiled_charsmap" and not charsmap:
            continue
        if not all(fields) or fields[0].contents() != fields[1].contents():
            wrong.append(f"{name}, written: the key {key}")


def check_written(name, source, encode):
    """What loom writes as a sentencepiece model, sentencepiece reads, and means the same."""
    loom(program, "tokenizer", "convert", source, f"--out={folder}/{name}-model", "--to=sentencepiece")
    again = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/{name}-model/tokenizer.model")
    wrong.extend(f"{name}, written: ids of {t[:60]!r}" for t in texts if again.encode(t) != encode(t))


def check_pieces(name, **kind):
    options = dict(model_type="bpe", vocab_size=1500, hard_vocab_limit=False, normalization_rule_name="identity",
                   remove_extra_whitespaces=False, character_coverage=0.995, max_sentence_length=1 << 20) | kind
    prefix = f"{folder}/{name}"
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, minloglevel=2, **options)
    peer = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    write_gguf(peer, options, f"{prefix}.gguf")
    compare(name, f"{prefix}.gguf", peer.encode, None)   # it writes the unknown piece its own way
    check_written(name, f"{prefix}.model", peer.encode)
    return peer


def check_model(name, model_type="unigram", **kind):
    options = dict(model_type=model_type, vocab_size=1500, hard_vocab_limit=False, character_coverage=0.98,
                   max_sentence_length=1 << 20) | kind
    prefix = f"{folder}/{name}"
    sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, minloglevel=2, **options)
    peer = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    compare(name, f"{prefix}.model", peer.encode, None)
    if model_type == "unigram":
        check_written(name, f"{prefix}.model", peer.encode)


def check_folder(name, peer):
    os.makedirs(f"{folder}/{name}")
    peer.save(f"{folder}/{name}/tokenizer.json")
    compare(name, f"{folder}/{name}", lambda text: peer.encode(text, add_special_tokens=False).ids,
            lambda ids: peer.decode(ids, skip_special_tokens=False))


def metaspace(peer):
    """The pieces as newer Llama files have them."""
    pieces = [peer.id_to_piece(p) for p in range(peer.get_piece_size())]
    known = {piece: i for i, piece in enumerate(pieces)}
    usual = [i for i in known.values() if not (peer.is_byte(i) or peer.is_control(i) or peer.is_unknown(i))]
    merges = []
    for piece in sorted((pieces[i] for i in usual), key=lambda p: -peer.get_score(known[p])):
        splits = [(piece[:k], piece[k:]) for k in range(1, len(piece)) if {piece[:k], piece[k:]} <= known.keys()]
        merges += sorted(splits, key=lambda s: (known[s[0]], known[s[1]]))
    t = tokenizers.Tokenizer(tokenizers.models.BPE(known, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(BLANK, prepend_scheme="first", split=False)
    decoders = tokenizers.decoders
    t.decoder = decoders.Sequence([decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    return t


def word_pieces(lowercase):
    t = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    t.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    t.decoder = tokenizers.decoders.WordPiece()
    t.train([corpus], tokenizers.trainers.WordPieceTrainer(
        vocab_size=3000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    return t


plain = check_pieces("plain", byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True)
check_pieces("unknown", byte_fallback=False)
check_pieces("trimmed", byte_fallback=True, remove_extra_whitespaces=True)
check_pieces("user", byte_fallback=True, add_dummy_prefix=False, user_defined_symbols=["the", "ab", "abc", "<sep>"])
check_pieces("crossing", byte_fallback=True, split_by_whitespace=False, allow_whitespace_only_pieces=True)
check_model("unigram")
check_model("unigram-bytes", byte_fallback=True, remove_extra_whitespaces=False)
check_model("unigram-folded", normalization_rule_name="nmt_nfkc_cf", add_dummy_prefix=False)
check_model("unigram-user", normalization_rule_name="identity", user_defined_symbols=["the", "lo wer"])
check_t5("t5")
check_t5("t5-bytes", byte_fallback=True, normalization_rule_name="nmt_nfkc_cf", remove_extra_whitespaces=False)
check_t5("t5-user", add_dummy_prefix=False, user_defined_symbols=["the", "ab<sep>"])
check_t5("t5-bare", normalization_rule_name="identity")
check_model("unigram-crossing", split_by_whitespace=False)
check_model("mapped", "bpe", byte_fallback=True)
check_model("mapped-folded", "bpe", normalization_rule_name="nmt_nfkc_cf", remove_extra_whitespaces=False)
check_model("mapped-bare", "bpe", add_dummy_prefix=False)
check_folder("metaspace", metaspace(plain))
check_folder("cased", word_pieces(False))
check_folder("uncased", word_pieces(True))
verdict(not wrong, f"20 vocabularies, {len(texts)} texts each: {len(wrong)} differ"
        + "".join(f"; the first: {first}" for first in wrong[:1]))
