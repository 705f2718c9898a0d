"""check_schemas.py INTEROP_CONSTRAINT [SCHEMAS]: whatever tokens are drawn from the masks of a JSON Schema, the text
satisfies it, as jsonschema sees it.

Random schemas; random walks over the masks of each, until the end may be drawn and is.  Schemas that loom refuses are
counted, and must be refused with a place.
"""
import collections
import decimal
import json
import random
import subprocess
import sys

from common import need, verdict
from random_schemas import Schemas

jsonschema, = need("jsonschema")
WALKS = 6


def answers(program, schemas):
    lines = "".join(json.dumps(schema) + "\n" for schema in schemas)
    done = subprocess.run([program, str(WALKS)], input=lines, capture_output=True, encoding="utf-8", check=True)
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def complaint(validator, text, exact):
    """Why the text is wrong; None if it is right."""
    try:
        value = json.loads(text, parse_float=decimal.Decimal if exact else float)
    except ValueError as error:
        return str(error)
    for error in validator.iter_errors(value):
        return error.message
    return None


def main():
    program, count = sys.argv[1], int((sys.argv[2:] or ["1600"])[0])
    stream = Schemas(random.Random(1))
    schemas = [stream.next() for _ in range(count)]
    texts = wrong = unfinished = compiled = 0
    first, refusals = "", collections.Counter()
    for schema, answer in zip(schemas, answers(program, schemas), strict=True):
        if "error" in answer:
            refusals[answer["error"].split(":")[-1].strip()[:60]] += 1
            continue
        compiled += 1
        unfinished += answer["unfinished"]
        exact = "multipleOf" in json.dumps(schema)   # floats have no hundredths
        if exact:
            schema = json.loads(json.dumps(schema), parse_float=decimal.Decimal)
        validator = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        for text in answer["texts"]:
            texts += 1
            problem = complaint(validator, text, exact)
            if problem:
                wrong += 1
                first = first or f"; the first: {text} for {schema}: {problem}"
    for problem, times in refusals.most_common(12) if "-v" in sys.argv else []:
        print(times, problem, file=sys.stderr)
    verdict(wrong == 0 and compiled >= count * 5 // 8 and unfinished * 20 < texts,
            f"{compiled} of {count} random schemas compile, {texts} texts: {wrong} wrong, {unfinished} walks did not "
            f"end{first}")


main()
