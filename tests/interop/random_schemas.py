"""Random JSON Schemas of the keywords that loom knows, for check_schemas.py and check_masks.py."""
import json

NAMES = ["a", "b", "ab", "name", "items", "caf\u00e9", "a b", "x\"y", "tab\t", "\u20ac", ""]
FORMATS = ["date", "time", "date-time", "duration", "uuid", "ipv4", "ipv6", "hostname", "email", "uri", "json-pointer"]
PATTERNS = ["^[a-z]+$", "b", "^a", "c$", "^(a|bc){2,3}$", "^\\d{2}-\\w+$", "^[^\"]*$", "\\\\", "^\\s?.\\S$",
            "^(?:[A-F0-9]{2}:){2}[A-F0-9]{2}$", "^a|b$", "\"", "^[\\x00-\\x1f]{1,2}$", "^\u00e9+$"]


class Schemas:
    """One stream of schemas from one random.Random; `plain`: only what all implementations agree on."""

    def __init__(self, rng, plain=False):
        self.rng = rng
        self.plain = plain
        self.defs = {}

    def chance(self, share):
        return self.rng.random() < share

    def scalar(self):
        values = [None, True, False, 0, 1, -7, 2.5, "", "a", "ab", "x\"y", "\u20ac\n", "true"]
        return self.rng.choice(values if self.plain else [*values, 1e3])

    def value(self, depth):
        if depth == 0 or self.chance(0.7):
            return self.scalar()
        if self.chance(0.5):
            return [self.value(depth - 1) for _ in range(self.rng.randrange(3))]
        return {name: self.value(depth - 1) for name in self.rng.sample(NAMES, self.rng.randrange(3))}

    def bound(self):
        return self.rng.choice([7 if self.plain else 0, 1, -1, 5, 10, 99, 100, 101, -100, 0.5, -0.25, 12.75, 1e3, 123456, 0.001,
                                self.rng.randrange(-10**6, 10**6), round(self.rng.uniform(-50, 50), 3)])

    def number(self, kind):
        schema = {"type": kind}
        low, high = sorted([self.bound(), self.bound()])
        if self.chance(0.5):
            schema[self.rng.choice(["minimum", "exclusiveMinimum"])] = low
        if self.chance(0.5):
            schema[self.rng.choice(["maximum", "exclusiveMaximum"])] = high
        if kind == "number" and not self.plain and self.chance(0.15):
            schema["multipleOf"] = self.rng.choice([1, 0.1, 0.01])
        return schema

    def text(self):
        schema = {"type": "string"}
        choice = self.rng.randrange(5)
        if choice == 0:
            low, high = sorted(self.rng.randrange(12) for _ in range(2))
            schema |= {"minLength": low} if self.chance(0.7) else {}
            schema |= {"maxLength": high} if self.chance(0.7) else {}
        if choice <= 1 and not self.plain and self.chance(0.5):
            schema["pattern"] = self.rng.choice(PATTERNS)
        elif choice == 2 and not self.plain:
            schema["format"] = self.rng.choice(FORMATS)
        return schema

    def array(self, depth):
        schema = {"type": "array"}
        if self.chance(0.3):
            schema["prefixItems"] = [self.schema(depth - 1) for _ in range(self.rng.randrange(1, 4))]
        if self.chance(0.8):
            schema["items"] = self.rng.choice([True, False]) if self.chance(0.1) else self.schema(depth - 1)
        low, high = sorted(self.rng.randrange(5) for _ in range(2))
        schema |= {"minItems": low} if self.chance(0.4) else {}
        schema |= {"maxItems": high} if self.chance(0.4) else {}
        return schema

    def object(self, depth):
        schema = {"type": "object"}
        names = self.rng.sample(NAMES, self.rng.randrange(5))
        if names or self.plain:
            schema["properties"] = {name: self.schema(depth - 1) for name in names}
        required = [name for name in names if self.chance(0.5)]
        if self.chance(0.1) and not self.plain:
            required.append("extra")
        if required:
            schema["required"] = required
        if self.plain:
            schema["additionalProperties"] = False
        elif self.chance(0.6):
            schema["additionalProperties"] = self.rng.choice([True, False]) if self.chance(0.6) else self.schema(depth - 1)
        return schema

    def combined(self, depth):
        kind = self.rng.randrange(4)
        if kind == 0 or self.plain:
            return {"anyOf": [self.schema(depth - 1) for _ in range(self.rng.randrange(1, 4))]}
        if kind == 1:
            return {"oneOf": [self.schema(depth - 1) for _ in range(self.rng.randrange(1, 3))]}
        if kind == 2:
            return {"allOf": [self.schema(depth - 1) for _ in range(self.rng.randrange(1, 3))]}
        return self.object(depth) | {"anyOf": [{"required": [self.rng.choice(NAMES)]}, self.object(depth - 1)]}

    def reference(self, depth):
        name = self.rng.choice("pqr")
        if name not in self.defs:
            self.defs[name] = None   # a recursion ends here
            self.defs[name] = {"anyOf": [{"type": "null"}, self.schema(depth - 1)]}
        return {"$ref": f"#/$defs/{name}"}

    def schema(self, depth):
        if self.chance(0.04) and not self.plain:
            return self.rng.choice([True, {}, {"title": "anything"}])
        if depth <= 0 or self.chance(0.45):
            pick = self.rng.randrange(7)
            if pick == 0:
                return {"enum": [self.value(1) if not self.plain else self.scalar() for _ in range(self.rng.randrange(1, 5))]}
            if pick == 1:
                return {"const": self.value(2) if not self.plain else self.scalar()}
            if pick == 2:
                return {"type": self.rng.choice(["null", "boolean"])}
            if pick == 3 and not self.plain:
                return {"type": self.rng.sample(["null", "boolean", "integer", "number", "string"], 2)}
            return self.text() if pick > 4 else self.number(self.rng.choice(["integer", "number"]))
        pick = self.rng.randrange(10)
        if pick < 4:
            return self.object(depth)
        if pick < 7:
            return self.array(depth)
        return self.combined(depth) if pick < 9 else self.reference(depth)

    def next(self):
        self.defs = {}
        schema = self.schema(self.rng.randrange(1, 4))
        while self.defs and schema is True:
            schema = self.schema(2)
        if self.defs and isinstance(schema, dict):
            schema = schema | {"$defs": self.defs}
        return json.loads(json.dumps(schema))   # no shared parts
