"""check_masks.py INTEROP_CONSTRAINT WORK [SCHEMAS]: the masks of a JSON Schema are those of llguidance.

Random schemas of what both have, a text that satisfies each, taken byte by byte; before every byte the two masks are
compared.  Left out, since the two choose differently: tokens with blanks, controls or escapes; exponents, the ends of
long numbers, the inside of escapes, what follows a minus; places where llguidance offers one token only (where the text
is forced it wants the canonical tokens).
"""
import json
import random
import re
import subprocess
import sys

from common import need, verdict
from random_schemas import Schemas

llguidance, = need("llguidance")
BYTE, SPECIAL, END = 3, 3, 0


def run(program, arguments, lines):
    done = subprocess.run([program, *arguments], input="".join(json.dumps(line) + "\n" for line in lines),
                          capture_output=True, encoding="utf-8", check=True)
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def compact(text):
    """Without blanks, and with nothing escaped that need not be."""
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def tokens_of(tokenizer_json):
    """The bytes of every token, from the printable form in which the file has them."""
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    table = {chr(b): b for b in printable}
    table |= {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)}
    vocab = tokenizer_json["model"]["vocab"]
    return {i: bytes(table[c] for c in text) for text, i in vocab.items() if i >= SPECIAL}


def bits(mask):
    return {8 * i + k for i, byte in enumerate(mask) for k in range(8) if byte >> k & 1}


def comparable(token):
    return not any(b <= 0x20 or b == 0x7F or b == ord("\\") for b in token)


SKIPPED_PLACE = re.compile(rb"\d{7,}$|\d[eE][-+]?\d*$|\\(u[0-9a-fA-F]*)?$|-0?$")


def main():
    program, work, count = sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["300"])[0])
    stream = Schemas(random.Random(2), plain=True)
    schemas = [stream.next() for _ in range(count)]
    lines = []
    for schema, answer in zip(schemas, run(program, ["3"], schemas), strict=True):
        lines += [{"schema": schema, "text": compact(text)} for text in answer.get("texts", [])[:1]]
    path = f"{work}/tokenizer.json"
    ours = run(program, ["masks", path], lines)
    with open(path, encoding="utf-8") as file:
        tokens = tokens_of(json.load(file))
    peer = llguidance.LLTokenizer(path, eos_token=END)
    compared = {i for i, token in tokens.items() if comparable(token)} | {END}
    masks = different = refused = 0
    first = ""
    for line, answer in zip(lines, ours, strict=True):
        grammar = llguidance.LLMatcher.grammar_from_json_schema(
            line["schema"], defaults={"whitespace_flexible": False})
        matcher = llguidance.LLMatcher(peer, grammar)
        if matcher.is_error():
            refused += 1
            continue
        text = line["text"].encode()
        for at, mask in enumerate(answer["masks"]):
            theirs = bits(matcher.compute_bitmask()) & compared
            mine = bits(bytes.fromhex(mask)) & compared
            if len(theirs) > 1 and not SKIPPED_PLACE.search(text[:at]):
                masks += 1
                if mine != theirs:
                    different += 1
                    show = [tokens.get(i, b"END") for i in sorted(mine ^ theirs)[:4]]
                    first = first or f"; the first: {text[:at]} for {json.dumps(line['schema'])}: {show}"
            if at < len(text) and not matcher.consume_token(BYTE + text[at]):
                break
    verdict(different == 0 and masks > 3 * count,
            f"{masks} masks of {len(compared)} tokens along {len(lines)} texts ({refused} schemas refused by the peer): "
            f"{different} differ{first}")


main()
