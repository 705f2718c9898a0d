#!/usr/bin/env bash
# Files of any size and lines: the same bytes for any number of threads, in the order of the arguments and the lines.
set -euo pipefail
loom=$1
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
# 3 MB of lines; the same without line ends, and without anything to break at but letters; small files between.
awk 'BEGIN { srand(3); for (i = 0; i < 50000; i++)
    printf "line %d has the word number %d and an owner, \"%x\"%s\n", i, rand() * 1e6, rand() * 1e9, i % 7 ? "." : " 中文" }' > lines.txt
tr -d '\n' < lines.txt > one_line.txt
tr -dc 'a-z' < lines.txt > letters.txt
head -c 100 lines.txt > small.txt
: > empty.txt
files="small.txt lines.txt empty.txt letters.txt one_line.txt small.txt"

"$loom" tokenizer train lines.txt --out=bpe --vocab-size=900 --quiet
"$loom" tokenizer train lines.txt --out=pieces --kind=sentencepiece --vocab-size=900 --quiet
"$loom" tokenizer train lines.txt --out=words --kind=wordpiece --vocab-size=900 --quiet
for kind in bpe pieces words; do
    for file in $files; do
        "$loom" tokenizer encode --tokenizer=$kind --quiet < $file
        [ -s $file ] || echo
    done > want
    for threads in 1 2 3; do
        "$loom" tokenizer encode --files $files --tokenizer=$kind --threads=$threads --quiet > got
        cmp want got || fail "$kind with $threads threads: other ids"
    done
    awk '{ print NF }' want > counts
    "$loom" tokenizer encode --files $files --count --tokenizer=$kind --quiet | cmp counts - || fail "$kind: other numbers"
done
"$loom" tokenizer encode --files small.txt --with-specials --tokenizer=words --quiet > got
[ "$(cat got)" = "$("$loom" tokenizer encode --with-specials --tokenizer=words --quiet < small.txt)" ] ||
    fail "--with-specials differs"
[ "$("$loom" tokenizer encode --files small.txt empty.txt --count --tokenizer=bpe --json --quiet | tail -1)" = \
    "{\"files\":2,\"ids\":$("$loom" tokenizer encode --count --tokenizer=bpe --quiet < small.txt)}" ] ||
    fail "--json does not count files and ids"

# Lines: in order, and a bad one ends what comes after it, not what was before.
head -20000 lines.txt | sed 's|["\\]|\\&|g; s|.*|"&"|' > strings
"$loom" tokenizer encode --lines --tokenizer=bpe --threads=1 --quiet < strings > want
[ "$(wc -l < want)" = 20000 ] || fail "lines are missing"
"$loom" tokenizer encode --lines --tokenizer=bpe --threads=3 --quiet < strings | cmp want - || fail "threads change lines"
"$loom" tokenizer decode --lines --tokenizer=bpe --threads=3 --quiet < want | cmp strings - || fail "lines do not come back"
{ head -5000 strings; echo 'bad'; cat strings; } > broken
! "$loom" tokenizer encode --lines --tokenizer=bpe --threads=3 --quiet < broken > got 2> err.txt ||
    fail "a bad line was taken"
grep -q "^loom: standard input, line 5001: " err.txt || fail "the wrong line is named: $(cat err.txt)"
head -5000 want | cmp got - || fail "lines before the bad one are missing"

# Memory: eight times the file, and hardly more.
for i in 1 2 3 4 5 6 7 8; do cat lines.txt lines.txt one_line.txt; done > large.txt
peak() { /usr/bin/time -f %M "$loom" tokenizer encode --files "$1" --tokenizer=bpe --threads=2 --quiet 2>&1 > /dev/null | tail -1; }
if [ -x /usr/bin/time ]; then
    small=$(peak lines.txt) large=$(peak large.txt)
    [ $((large - small)) -lt 150000 ] || fail "memory grows with the file: $small KB, $large KB"
fi
echo "ok"
