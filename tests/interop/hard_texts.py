"""Texts that tell one pre-tokenizer from another: rare classes of characters, blanks, contractions, digits, and
what looks like a special token."""
import random
import sys
import unicodedata

BLANKS = [" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\u1680", "\u2003",
          "\u2028", "\u2029", "\u202f", "\u3000", "\u200b", "\ufeff"]
CONTRACTIONS = ["'s", "'S", "'t", "'re", "'RE", "'ve", "'m", "'ll", "'lL", "'d", "'x", "''", "\u2019s", "'\u017f",
                "'\u0130", "n't", "'sa", "' s"]
DIGITS = ["0", "12", "123", "1234", "1234567", "3.14", "1,000", "1e-9", "\u0663\u0664\u0665\u0666", "\u00b2\u00bd",
          "\u2167", "\uff11\uff12\uff13\uff14", "\U0001d7d8\U0001d7d9", "\u0e51\u0e52", "a1b22c333d4444"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_start|", "|im_end|>", "<|im_start|>user\n",
           " <|im_end|> ", "<|IM_END|>", "<|endoftext|><|endoftext|>", "<<|im_end|>>", "<|im_<|im_end|>end|>"]
WORDS = ["select", " Table", "na\u00efve", "\u4e2d\u6587", "\u0440\u0443\u0441", "\u0639\u0631\u0628", "\U0001f600",
         "\U0001f469\u200d\U0001f4bb", "e\u0301\u0323", "\u0939\u093f\u0928\u094d\u0926\u0940", "?!...", "--", "a_b",
         "/*x*/", "\u00df", "\u01c5", "\ud55c\uad6d"]


def characters_by_class():
    classes = {}
    for code in range(sys.maxunicode + 1):
        name = unicodedata.category(chr(code))
        if name not in ("Cs", "Cn"):   # no surrogates; what is unassigned differs between versions of Unicode
            classes.setdefault(name, []).append(chr(code))
    return list(classes.values())


def hard_texts(count, with_special):
    """`count` texts, always the same; with what spells special tokens only if asked for."""
    rng = random.Random(2)
    classes = characters_by_class()
    kinds = [BLANKS, CONTRACTIONS, DIGITS, WORDS] + ([SPECIAL] if with_special else [])

    def piece():
        if rng.random() < 0.4:
            return "".join(rng.choices(rng.choice(classes), k=rng.randint(1, 4)))
        return "".join(rng.choices(rng.choice(kinds), k=rng.randint(1, 3)))

    return ["".join(piece() for _ in range(rng.randint(1, 12))) for _ in range(count)]
