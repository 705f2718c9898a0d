"""What the checks share: loom as a child process, texts, and the one line each of them prints.

A check is one file, check_<subject>.py; its arguments come from run.sh.  It ends in verdict(), or in need() when the
peer is not installed.  Exit status: 0 ok, 1 FAIL, SKIPPED.
"""
import importlib
import io
import json
import os
import random
import subprocess
import sys

SKIPPED = 77
NAME = os.path.basename(sys.argv[0]).removeprefix("check_").removesuffix(".py")


def verdict(ok, figures):
    print(f"{'ok  ' if ok else 'FAIL'} {NAME}: {figures}")
    sys.exit(0 if ok else 1)


def need(*names):
    """The modules with these names; without one of them the check is skipped."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        print(f"skip {NAME}: {error}")
        sys.exit(SKIPPED)


def loom(program, *args, lines=None):
    """Runs loom, with these lines on standard input; its lines of standard output.  Ends the check if loom fails."""
    done = subprocess.run([program, *args, "--quiet"], capture_output=True, encoding="utf-8",
                          input=None if lines is None else "".join(line + "\n" for line in lines))
    if done.returncode:
        verdict(False, f"loom {' '.join(args)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.split("\n")[:-1]


def loom_json(program, *args):
    return json.loads(loom(program, *args, "--json")[-1])


def ids_of(lines):
    return [[int(word) for word in line.split()] for line in lines]


def contents(path):
    """The texts of a documents.jsonl.zst, in its order."""
    zstandard, = need("zstandard")
    with open(path, "rb") as file:
        reader = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        return [json.loads(line)["content"] for line in reader]


def paragraphs(path, count):
    """`count` different paragraphs of the documents (all, if there are fewer), drawn at random, always the same."""
    found = sorted({p for text in contents(path) for p in text.split("\n\n") if p.strip()})
    return found if len(found) <= count else random.Random(1).sample(found, count)


def field(message, wanted):
    """The bytes of a field of a protobuf message; b"" when it has none."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            shift += 7
            at += 1
            if message[at - 1] < 128:
                return value

    while at < len(message):
        tag = varint()
        size = {0: varint, 1: lambda: 8, 2: varint, 5: lambda: 4}[tag & 7]()
        if tag >> 3 == wanted and tag & 7 == 2:
            return message[at:at + size]
        at += size if tag & 7 else 0
    return b""
