"""gen_named.py > split_named.c: what the named sets of tokenizers' patterns have beyond general categories.

    python3 src/token/gen_named.py > src/token/split_named.c

The peer is asked for each code point; \\p{Alphabetic} is \\p{L}, \\p{Nl} and a list of marks and symbols, and so on.
"""
import tokenizers
from tokenizers import Regex, pre_tokenizers

POINTS = [cp for cp in range(0x110000) if not 0xd800 <= cp < 0xe000]
NAMED = [("alphabetic", "[\\p{Alphabetic}&&[^\\p{L}\\p{Nl}]]"), ("upper", "[\\p{Uppercase}&&[^\\p{Lu}]]"),
         ("lower", "[\\p{Lowercase}&&[^\\p{Ll}]]")]


def members(pattern):
    cutter = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    for low in range(0, len(POINTS), 4096):
        for text, _ in cutter.pre_tokenize_str("".join(map(chr, POINTS[low:low + 4096]))):
            yield from map(ord, text)


def main():
    assert tokenizers.__version__ == "0.23.3"
    print('/* Made by gen_named.py. */\n#include "token/split_regex.h"\n\n// clang-format off')
    for name, pattern in NAMED:
        rows = []
        for cp in members(pattern):
            if rows and rows[-1][1] == cp - 1:
                rows[-1][1] = cp
            else:
                rows.append([cp, cp])
        print(f"const struct split_range lm_split_{name}[] = {{")
        for at in range(0, len(rows), 4):
            print("   " + "".join(f" {{ {first:#x}, {last:#x} }}," for first, last in rows[at:at + 4]))
        print(f"}};\nconst size_t lm_split_{name}_count = sizeof(lm_split_{name}) / sizeof(lm_split_{name}[0]);\n")
    print("// clang-format on")


main()
