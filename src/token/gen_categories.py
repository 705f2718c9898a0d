"""gen_categories.py > split_newer.c: general categories that tokenizers' patterns know and Unicode 14.0 does not.

    python3 src/token/gen_categories.py > src/token/split_newer.c

The peer is asked for each code point; what its category in Python 3.11's Unicode 14.0 is not is a row.
"""
import sys
import unicodedata

import tokenizers
from tokenizers import Regex, pre_tokenizers

NAMES = ["Cc", "Cf", "Cn", "Co", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No", "Pc", "Pd", "Pe",
         "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"]
ICU = {"Lu": "UPPERCASE_LETTER", "Ll": "LOWERCASE_LETTER", "Lt": "TITLECASE_LETTER", "Lm": "MODIFIER_LETTER",
       "Lo": "OTHER_LETTER", "Mn": "NON_SPACING_MARK", "Me": "ENCLOSING_MARK", "Mc": "COMBINING_SPACING_MARK",
       "Nd": "DECIMAL_DIGIT_NUMBER", "Nl": "LETTER_NUMBER", "No": "OTHER_NUMBER", "Cf": "FORMAT_CHAR",
       "Pd": "DASH_PUNCTUATION", "Ps": "START_PUNCTUATION", "Pe": "END_PUNCTUATION", "Pc": "CONNECTOR_PUNCTUATION",
       "Po": "OTHER_PUNCTUATION", "Sm": "MATH_SYMBOL", "Sc": "CURRENCY_SYMBOL", "Sk": "MODIFIER_SYMBOL",
       "So": "OTHER_SYMBOL", "Pi": "INITIAL_PUNCTUATION", "Pf": "FINAL_PUNCTUATION"}


def main():
    assert tokenizers.__version__ == "0.23.3" and unicodedata.unidata_version == "14.0.0"
    points = [cp for cp in range(sys.maxunicode + 1) if not 0xd800 <= cp < 0xe000]
    category = {}
    for name in NAMES:
        cutter = pre_tokenizers.Split(Regex(rf"\p{{{name}}}"), "removed", invert=True)
        for low in range(0, len(points), 4096):
            part = points[low:low + 4096]
            for text, _ in cutter.pre_tokenize_str("".join(map(chr, part))):
                for character in text:
                    category[ord(character)] = name
    rows = []
    for cp in points:
        name = category.get(cp, "Cn")
        if name == unicodedata.category(chr(cp)):
            continue
        if rows and rows[-1][1] == cp - 1 and rows[-1][2] == name:
            rows[-1][1] = cp
        else:
            rows.append([cp, cp, name])
    print("/* Made by gen_categories.py. */\n#include \"token/split_regex.h\"\n\n#include <unicode/uchar.h>\n\n// clang-format off")
    print("const struct split_newer lm_split_newer[] = {")
    for first, last, name in rows:
        print(f"    {{ {first:#x}, {last:#x}, U_{ICU[name]} }},")
    print("};\n// clang-format on\nconst size_t lm_split_newer_count = sizeof(lm_split_newer) / sizeof(lm_split_newer[0]);")


main()
