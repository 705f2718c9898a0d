#!/bin/sh
# ngram: a model of plain prose finds letters at random unusual, filters them, and notices when texts change.
set -eu
loom=$1
rm -rf work && mkdir work && cd work

# Sentences from a few words, and as many of letters at random: 1..60 train, 61..80 are new.
awk 'BEGIN {
    srand(7)
    n = split("the old river flows slowly through town and people of valley know that its water is cold clear", w, " ")
    for (i = 1; i <= 80; i++) {
        prose = noise = ""
        for (k = 0; k < 60; k++) {
            prose = prose w[int(rand() * n) + 1] " "
            for (c = 0; c < 5; c++)
                noise = noise sprintf("%c", 97 + int(rand() * 26))
            noise = noise " "
        }
        printf "{\"content\":\"%s.\",\"source\":\"prose\"}\n", prose > (i <= 60 ? "known.jsonl" : "prose.jsonl")
        if (i > 60)
            printf "{\"content\":\"%s.\",\"source\":\"noise\"}\n", noise > "noise.jsonl"
    }
}'
"$loom" tokenizer train --quiet known.jsonl --vocab-size=300 --out=tokenizer
"$loom" ngram train --quiet known.jsonl --tokenizer=tokenizer --order=3 --out=model

# Every noise is more unusual than every prose.
most=$("$loom" ngram score prose.jsonl --model=model | awk '{ print $2 }' | sort -g | tail -1)
least=$("$loom" ngram score noise.jsonl --model=model | awk '{ print $2 }' | sort -g | head -1)
awk -v most="$most" -v least="$least" 'BEGIN { exit !(most > 0 && least > 2 * most) }'

# So a threshold between them parts them, and removed.jsonl says why.
middle=$(awk -v most="$most" -v least="$least" 'BEGIN { print (most + least) / 2 }')
"$loom" prepare --quiet prose.jsonl noise.jsonl --anonymize=none --alpha-word-share-min=0 --top-ngram-share-max=1 \
    --quality-model=model --bits-per-byte-max="$middle" --out=prepared
[ "$(wc -l < prepared/removed.jsonl)" = 20 ]
[ "$(grep -c '"reason":"unusual","rule":"bits-per-byte-max"' prepared/removed.jsonl)" = 20 ]
[ "$(zstd -dc prepared/documents.jsonl.zst | grep -c '"source":"prose".*"bits-per-byte":')" = 20 ]

# Other prose is no drift, noise is (exit 3).
split -l 10 prose.jsonl half.
mv half.aa a.jsonl && mv half.ab b.jsonl
"$loom" ngram drift a.jsonl b.jsonl --model=model > /dev/null
rc=0
"$loom" ngram drift prose.jsonl noise.jsonl --model=model > /dev/null 2> message || rc=$?
[ "$rc" = 3 ]
grep -q 'the intervals lie apart' message

# A tokenizer that is not the model's.
"$loom" tokenizer train --quiet known.jsonl --vocab-size=310 --out=other
cp other/tokenizer.json model/
rc=0
"$loom" ngram score prose.jsonl --model=model 2> message || rc=$?
[ "$rc" = 2 ]
grep -q 'was made with another tokenizer.json' message
