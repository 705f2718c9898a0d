"""Writes chat.json: the ids that transformers gives to conversations, with the templates of this folder on small
tokenizers that know the special tokens of them all.

    python3 make_chat.py      (again when a *.tokenizer.json of the folder above changes)
"""
import json
import pathlib
import tempfile

import transformers

HERE = pathlib.Path(__file__).parent
SPECIAL = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|start_header_id|>",
           "<|end_header_id|>", "<|eot_id|>", "[TOOL_CALLS]", "[INST]", "[/INST]"]
RSTRIP = {"<|user|>", "<|assistant|>", "<|system|>", "<|end|>"}   # as in Phi-3's files
TOKENIZERS = {"qwen2": SPECIAL, "llama3": SPECIAL, "metaspace": []}
SYSTEM = {"role": "system", "content": "  Be brief.\n"}
USER = {"role": "user", "content": "  What is 1 < 2 & \"3\"? caf\u00e9\n"}
ANSWER = {"role": "assistant", "content": "Yes, it is.\n\n"}
CONVERSATIONS = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "answered": [SYSTEM, USER, ANSWER],
    "long": [USER, ANSWER, {"role": "user", "content": "\u4e2d\u6587 {{ 7 }}\n\n\n "},
             {"role": "assistant", "content": "<think>\nHm.\n</think>\n\n49"}, {"role": "user", "content": ""}],
}


def folder_of(name, special, path):
    """The tokenizer with more special tokens behind its last one: test_chat_templates.c does the same."""
    text = (HERE.parent / f"{name}.tokenizer.json").read_text(encoding="utf-8")
    size = max(json.loads(text)["model"]["vocab"].values()) + 1
    more = "".join(',{"id":%d,"content":"%s","single_word":false,"lstrip":false,"rstrip":%s,"normalized":false,'
                   '"special":true}' % (size + i, token, "true" if token in RSTRIP else "false")
                   for i, token in enumerate(special))
    (path / "tokenizer.json").write_text(text.replace('],"normalizer"', more + '],"normalizer"', 1), encoding="utf-8")
    (path / "tokenizer_config.json").write_text(
        '{"tokenizer_class":"PreTrainedTokenizerFast","bos_token":"<s>","eos_token":"</s>"}', encoding="utf-8")
    return more


def encode(tokenizer, talk, template, prompt):
    masked = "{%- generation" in template and not prompt
    try:
        got = tokenizer.apply_chat_template(talk, chat_template=template, add_generation_prompt=prompt,
                                            return_dict=True, return_assistant_tokens_mask=masked)
    except Exception:
        return {"ids": None}
    return {"ids": got["input_ids"], **({"mask": got["assistant_masks"]} if masked else {})}


def main():
    cases, files = [], {}
    for name, special in TOKENIZERS.items():
        with tempfile.TemporaryDirectory() as folder:
            files[name] = folder_of(name, special, pathlib.Path(folder))
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        for path in sorted(HERE.glob("*.jinja")):
            template = path.read_text(encoding="utf-8")
            if "strftime_now" in template or path.name == "schema.jinja":
                continue   # shows the day; is no prompt
            for talk in CONVERSATIONS:
                for prompt in (False, True):
                    cases.append({"tokenizer": name, "template": path.name, "conversation": talk, "prompt": prompt,
                                  **encode(tokenizer, CONVERSATIONS[talk], template, prompt)})
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    with open(HERE / "chat.json", "w", encoding="utf-8") as file:
        file.write('{"transformers":"%s",\n"more":%s,\n"conversations":%s,\n"cases":[\n%s]}\n' % (
            transformers.__version__, json.dumps(files), json.dumps(CONVERSATIONS), lines))


main()
