"""derive_models.py MODEL.gguf OUT: the same weights in each type that loom is compared in.

MODEL is SmolLM2-135M-Instruct in Q4_1 (its embedding in Q8_0).  OUT gets smollm2-135m-TYPE.gguf for TYPE f32, f16,
bf16, q8_0, q4_0 and q4_1 (the file itself), all rounded from the float32 values of the first, and smollm2-hf, the same
float32 weights as a Hugging Face folder.  Norms stay float32 in every GGUF; in q4_0 the embedding is Q8_0, as tools
write it when it is the output matrix too.  What exists stays as it is.
"""
import os
import pathlib
import shutil
import sys

import gguf
import gguf_llama
import numpy
import tokenizers
import transformers

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0"]
FIELD_OF_TYPE = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "BF16": "MOSTLY_BF16", "Q8_0": "MOSTLY_Q8_0",
                 "Q4_0": "MOSTLY_Q4_0"}
MADE_BY_WRITER = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture"}


def copy_fields(reader, writer, file_type):
    for name, field in reader.fields.items():
        if name in MADE_BY_WRITER:
            continue
        if name == "general.file_type":
            writer.add_file_type(file_type)
            continue
        element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=element)


def type_for(tensor, wanted):
    if len(tensor.shape) == 1:
        return gguf.GGMLQuantizationType.F32
    if wanted == "Q4_0" and tensor.name == "token_embd.weight":
        return gguf.GGMLQuantizationType.Q8_0
    return gguf.GGMLQuantizationType[wanted]


def write_as(reader, path, wanted):
    writer = gguf.GGUFWriter(path, reader.get_field("general.architecture").contents())
    copy_fields(reader, writer, gguf.LlamaFileType[FIELD_OF_TYPE[wanted]])
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        stored = type_for(tensor, wanted)
        writer.add_tensor(tensor.name, gguf.quants.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokenizer(reader, folder):
    """SmolLM's tokenizer is a byte-level BPE in which each digit stands alone."""
    tokens, merges, kinds = (reader.get_field(f"tokenizer.ggml.{name}").contents()
                             for name in ("tokens", "merges", "token_type"))
    bpe = tokenizers.models.BPE(vocab={token: index for index, token in enumerate(tokens)},
                                merges=[tuple(merge.split(" ")) for merge in merges])
    tokenizer = tokenizers.Tokenizer(bpe)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Digits(individual_digits=True),
         tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, kinds, strict=True)
                                  if kind == gguf.TokenType.CONTROL])
    template = reader.get_field("tokenizer.chat_template").contents()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>",
        pad_token="<|im_end|>", chat_template=template, clean_up_tokenization_spaces=False).save_pretrained(folder)


def write_folder(reader, folder):
    gguf_llama.model(reader).save_pretrained(folder)
    write_tokenizer(reader, folder)


def when_missing(path, make):
    """A name is there only when what it names is whole."""
    if path.exists():
        return
    unfinished = path.with_name(f"{path.name}.part")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    make(unfinished)
    os.replace(unfinished, path)
    print(path, flush=True)


def main():
    source, out = (pathlib.Path(argument) for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    original = out / "smollm2-135m-q4_1.gguf"
    transformers.logging.disable_progress_bar()
    when_missing(original, lambda path: shutil.copyfile(source, path))
    reader = gguf.GGUFReader(original)
    for wanted in TYPES:
        when_missing(out / f"smollm2-135m-{wanted.lower()}.gguf", lambda path: write_as(reader, path, wanted))
    when_missing(out / "smollm2-hf", lambda path: write_folder(reader, path))


main()
