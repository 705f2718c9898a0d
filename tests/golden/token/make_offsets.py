"""make_offsets.py: offsets.json, the byte ranges that tokenizers 0.23.3 gives the ids of the golden vocabularies.

    python3 tests/golden/token/make_offsets.py
"""
import json
import os

import tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = ["Hello, world", " two  blanks ", "na\u00efve caf\u00e9", "e\u0301\u0323 o\u0308x \u212b \u0958",
         "\u4e2d\u6587\u8a9e",
         "\U0001f600\U0001f469\u200d\U0001f4bb!", "a\u2581b \u2581", "\uac00\u11a8\u1100\u1161", "", " ", "\n\n x",
         "ABC \u0130 \u00df",
         "1234567", "<|endoftext|> x<|im_end|>", "[CLS] x [SEP]", "it's \u2019s 'S", "\u0915\u093c\u0301 z",
         " <pad> \u200b</s> ", "tab\tx\r\n\u3000y",
         "x\u1dea\U0001d172b", "\u302e\U0001d172 a\u0301\u1b44b", "\U0001d160\u1b44 a",
         "q" * 120 + " w", "\u1e69\u0307s\u0323\u0307", "\u0000a", "x\u0300\u0300\u0300\u0327y",
         "\u200b\ufb01ne  \uff21\u3000\u00bd ``quoted'' e\u0301"]


def main():
    assert tokenizers.__version__ == "0.23.3"
    cases = []
    for name in ("gpt2", "llama3", "smollm", "qwen2", "metaspace", "bert", "t5", "albert", "clip"):
        peer = tokenizers.Tokenizer.from_file(f"{HERE}/{name}.tokenizer.json")
        peer.no_truncation()
        peer.no_padding()
        for text in TEXTS:
            at = [0]
            for character in text:
                at.append(at[-1] + len(character.encode()))
            offsets = [[at[start], at[end]] for start, end in peer.encode(text, add_special_tokens=False).offsets]
            cases.append({"tokenizer": name, "text": text, "offsets": offsets})
    with open(f"{HERE}/offsets.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")


main()
