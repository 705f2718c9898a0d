#!/usr/bin/env bash
# What the world can do to us: each case ends with one clear sentence, and what was there before is still there.
set -euo pipefail
loom=$1
fail() { echo "FAIL: $*" >&2; exit 1; }
count=0

# refused STATUS PATTERN ARGS...: exit status, one line on stderr that begins with "loom: ", and its words.
refused() {
    local want=$1 pattern=$2 got=0
    shift 2
    "$loom" "$@" --quiet > out.txt 2> err.txt || got=$?
    [ $got = "$want" ] || fail "loom $* ended with $got, not $want: $(head -3 err.txt)"
    grep -q "^loom: .*$pattern" err.txt || fail "loom $*: '$pattern' is not in: $(head -3 err.txt)"
    [ "$(grep -c '^loom: ' err.txt)" = 1 ] || fail "loom $*: more than one error: $(cat err.txt)"
    count=$((count + 1))
}

rm -rf w && mkdir w && cd w

# Sources.
mkdir empty
refused 1 "empty" collect empty --out=o1
refused 1 "No such file" collect missing --out=o2
[ ! -e o1 ] && [ ! -e o2 ] || fail "a refused collect left its folder"
printf '{"id":"a","content":"one"}\n{"id":"b","content":"two"}\n' > good.jsonl
gzip -c good.jsonl > whole.jsonl.gz
head -c 40 whole.jsonl.gz > cut.jsonl.gz
refused 1 "cut.jsonl.gz" collect cut.jsonl.gz --out=o3
printf '{"id":"a","content":"one"}\n{"id":"b","content":' > half.jsonl
refused 1 "half.jsonl:2" collect half.jsonl --out=o4
head -c 300000000 /dev/zero | tr '\0' 'x' > line.jsonl
refused 1 "line.jsonl" collect line.jsonl --out=o5
rm line.jsonl

# Odd, but not wrong: UTF-16 HTML, and a page of 10^6 nested tags.
mkdir odd
{ printf '\xff\xfe'; printf '<html><body><p>Gr\xfc\xdfe aus dem Norden, und viele davon.</p></body></html>' |
    iconv -f latin1 -t utf-16le; } > odd/utf16.html
awk 'BEGIN { for (i = 0; i < 1000000; i++) printf "<div>"; printf "deep down there is a sentence of words"
    for (i = 0; i < 1000000; i++) printf "</div>" }' > odd/nested.html
"$loom" collect odd --out=o6 --quiet || fail "odd pages are not collected"
"$loom" prepare o6/documents.jsonl.zst --out=p6 --words-min=1 --quiet || fail "odd pages are not prepared"
zstd -dcq p6/documents.jsonl.zst > p6.jsonl
grep -q 'Grüße aus dem Norden' p6.jsonl || fail "UTF-16 text is lost"
count=$((count + 2))

# An output folder that is there already is not touched.
refused 1 "o6" collect odd --out=o6
[ -s o6/documents.jsonl.zst ] || fail "an existing result was lost"

# Tokenizer.
echo '{"version":"1.0","model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a c"]}}' > tokenizer.json
refused 1 "tokenizer.json" tokenizer encode x --tokenizer=tokenizer.json
echo '{"version":"1.0","model":{"type":"BPE","vocab":{"a":0' > tokenizer.json
refused 1 "tokenizer.json" tokenizer encode x --tokenizer=tokenizer.json

# loom.yaml.
printf 'name: x\ncollect:\n  sources:\n    - name: a\n      path: p\npretrain:\n  stepz: 5\n' > loom.yaml
refused 2 "loom.yaml:7: .*steps" run
printf 'name: x\npretain:\n  steps: 5\n' > loom.yaml
refused 2 "loom.yaml:2: .*pretrain" run
printf 'name: [x\n' > loom.yaml
refused 1 "loom.yaml" run
rm loom.yaml
refused 1 "loom init" run

# A full disk: the artifact is whole or absent.
if [ "$(id -u)" = 0 ] && mkdir -p full && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
    head -c 400000 /dev/urandom | base64 -w 0 | sed 's/^/{"id":"a","content":"/; s/$/"}\n/' > big.jsonl
    trap 'umount full' EXIT
    refused 1 "disk full" collect big.jsonl --out=full/out
    [ ! -e full/out ] || fail "half a result on a full disk"
    umount full
    trap - EXIT
fi
echo "$count passed, 0 failed"
