"""check_chat_template.py LOOM MODEL_DIR: apply_chat_template of transformers makes the prompt that loom makes."""
import json
import sys

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


def main():
    program, folder = sys.argv[1:]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    talks = list(conversations())
    ours = ids_of(loom(program, "tokenizer", "chat", f"--tokenizer={folder}", lines=map(json.dumps, talks)))
    theirs = [tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False) for talk in talks]
    wrong = [talk for talk, a, b in zip(talks, ours, theirs, strict=True) if a != b]
    first = f"; the first: {json.dumps(wrong[0])}" if wrong else ""
    verdict(not wrong, f"{len(talks)} conversations, {sum(map(len, ours))} ids: {len(wrong)} differ{first}")


main()
