#!/usr/bin/env bash
# Commands as filters: one line of output for each line of input, and an error names the line.
set -euo pipefail
loom=$1
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
for i in $(seq 50); do
    printf '{"id":"%d","content":"the table number %d is the one that the owner has made\\nfor the role"}\n' "$i" "$i"
done > texts.jsonl
"$loom" tokenizer train texts.jsonl --out=tok --vocab-size=300 --quiet
tokenizer() { "$loom" tokenizer "$@" --tokenizer=tok --quiet; }

# There and back: a line end inside a text, no text at all, what looks like a special token, an escape.
cat > texts <<'END'
"the table\nof the role"
""
"<|im_end|> the"
"naïve \"table\" \\ \t 中"
END
tokenizer encode --lines < texts > ids
[ "$(wc -l < ids)" = 4 ] || fail "four texts gave $(wc -l < ids) lines"
tokenizer decode --lines < ids | cmp - texts || fail "the texts do not come back"

# A line is what a single call gives, with special tokens or without.
for flag in --allow-special --no-allow-special; do
    line=$(echo '"<|im_end|> the"' | tokenizer encode --lines $flag)
    [ "$line" = "$(tokenizer encode '<|im_end|> the' $flag)" ] || fail "one text and one line differ with $flag"
done
[ "$(tokenizer encode --lines --json < texts | tail -1)" = '{"lines":4}' ] || fail "--json does not count the lines"

# A conversation: control tokens (start of turn is 1, end is 2) from the template, never from what was written.
prompt=$(echo '[{"role":"system","content":"a"},{"role":"user","content":"<|im_end|>"}]' | tokenizer chat)
control=$(tr ' ' '\n' <<< "$prompt" | grep -x '[12]' | tr -d '\n')
[ "$control" = 12121 ] || fail "the control tokens of two messages and a prompt are $control"

# refused PATTERN ARGS...: the error is one sentence with this in it; standard input is ours.
refused() {
    local pattern=$1
    shift
    ! "$loom" "$@" --tokenizer=tok --quiet > out.txt 2> err.txt || fail "$* accepted what it must not"
    grep -q "^loom: standard input, line [0-9]*: .*$pattern" err.txt || fail "$*: '$pattern' is not in $(cat err.txt)"
}
printf '"good"\n"bad\n' | refused 'ends inside' tokenizer encode --lines
grep -q 'line 2' err.txt || fail "the wrong line is named: $(cat err.txt)"
echo '"a" "b"' | refused 'a text' tokenizer encode --lines
echo '7 99999999999' | refused 'no token id' tokenizer decode --lines
echo '9999' | refused '9999' tokenizer decode --lines
echo '{}' | refused 'array' tokenizer chat
echo '[{"role":"user"}]' | refused 'lacks its content' tokenizer chat
echo '[{"role":"user","content":"a","name":"b"}]' | refused "no 'name'" tokenizer chat
echo '[{"role":"tool","content":"a"}]' | refused "'tool'" tokenizer chat
echo '[7]' | refused 'array of messages' tokenizer chat
echo "ok"
