#!/usr/bin/env python3
"""Writes html_entities.inc, the named character references of the HTML standard, from Python's copy of them.

    python3 html_entities.py > html_entities.inc

The pool holds, for every name in bytewise order, the name (with its ';' if it has one), a NUL, its UTF-8 and a
NUL; entity_at holds where each begins.
"""
from html.entities import html5

LITERAL_MAX = 100


def c_bytes(data):
    """Octal escapes have at most three digits, so what follows one never joins it."""
    return "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\?' else f"\\{b:03o}" for b in data)


rows = sorted((name.encode(), text.encode()) for name, text in html5.items())
offsets, offset, line, lines = [], 0, "", []
for name, text in rows:
    offsets.append(offset)
    row = name + b"\0" + text + b"\0"
    offset += len(row)
    if len(line) + len(c_bytes(row)) > LITERAL_MAX:
        lines.append(line)
        line = ""
    line += c_bytes(row)
lines.append(line)
assert offset < 1 << 16

print("/* Made by html_entities.py; do not edit. */")
print("static const char entity_pool[] =")
print("\n".join(f'    "{part}"' for part in lines) + ";")
print(f"static const uint16_t entity_at[{len(offsets)}] = {{")
for i in range(0, len(offsets), 16):
    print("    " + ", ".join(map(str, offsets[i:i + 16])) + ",")
print("};")
