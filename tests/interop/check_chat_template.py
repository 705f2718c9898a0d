"""check_chat_template.py LOOM MODEL_DIR: apply_chat_template of transformers makes the prompt that loom makes.

With the template of the model, and with each of tests/golden/token/templates on its tokenizer.
"""
import json
import pathlib
import shutil
import sys
import tempfile

from common import ids_of, loom, need, verdict

transformers, = need("transformers")
transformers.logging.set_verbosity_error()

SYSTEM = {"role": "system", "content": "You answer questions about PostgreSQL."}


def conversations():
    """What users wrote never becomes control tokens in loom; transformers parses it, so none is spelled here."""
    questions = ["What does VACUUM do?", "", "  two blanks, then a tab\t", "\n\nline ends around\n",
                 "na\u00efve \u4e2d\u6587 12345", "it's the user's", "a\r\nb", "{{ 7 * 7 }} {% raw %}", "<|im_",
                 "\U0001f469\u200d\U0001f4bb " * 20]
    for question in questions:
        user = {"role": "user", "content": question}
        yield [user]
        yield [SYSTEM, user]
        yield [SYSTEM, user, {"role": "assistant", "content": "It reclaims storage."}, user]


TEMPLATES = pathlib.Path(__file__).parent.parent / "golden" / "token" / "templates"


def copies(folder):
    """The tokenizer with its own template, then with each of ours that shows no date."""
    yield folder
    for path in sorted(TEMPLATES.glob("*.jinja")):
        if "strftime_now" in path.read_text(encoding="utf-8"):
            continue
        with tempfile.TemporaryDirectory() as copy:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(pathlib.Path(folder) / name, copy)
            shutil.copy(path, pathlib.Path(copy) / "chat_template.jinja")
            yield copy


def main():
    program, folder = sys.argv[1:]
    talks, ids, wrong, templates = list(conversations()), 0, [], 0
    for copy in copies(folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
        ours = ids_of(loom(program, "tokenizer", "chat", f"--tokenizer={copy}", lines=map(json.dumps, talks)))
        theirs = [tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False) for talk in talks]
        wrong += [(templates, talk) for talk, a, b in zip(talks, ours, theirs, strict=True) if a != b]
        ids += sum(map(len, ours))
        templates += 1
    first = f"; the first, of template {wrong[0][0]}: {json.dumps(wrong[0][1])}" if wrong else ""
    verdict(not wrong, f"{templates} templates, {len(talks)} conversations, {ids} ids: {len(wrong)} differ{first}")


main()
