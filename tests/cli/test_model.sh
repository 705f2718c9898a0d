#!/usr/bin/env bash
# Models come in, are looked into, and go out in another form or type; a hub with faults gives whole files or none.
set -euo pipefail
loom=$1 tests=$2
golden=$tests/golden/models
fail() { echo "FAIL: $*" >&2; exit 1; }

rm -rf w && mkdir w && cd w
model() { "$loom" model "$@" --quiet --threads=1; }
has() { grep -q -- "$2" "$1" || fail "'$2' is not in $1: $(cat "$1")"; }

# refused PATTERN ARGS...: fails with this in its one sentence.
refused() {
    local pattern=$1
    shift
    ! model "$@" > out.txt 2> err.txt || fail "model $* accepted what it must not"
    has err.txt "$pattern"
}

# ---- inspect
model inspect "$golden/llama.gguf" --context=10 --json > facts
for fact in '"architecture":"llama"' '"license":"mit"' '"positions":"rotated, factors"' '"quantization":"none"' \
    '"kv_bytes_per_token":384,"kv_context":10,"kv_bytes":3840' '"tied":false' '"type":"F32","tensors":21'; do
    has facts "$fact"
done
[ "$(model inspect "$golden/llama.gguf" --kv-type=f16 | awk '$1 == "kv_bytes_per_token" { print $2 }')" = 192 ] ||
    fail "a cache of half precision is not of half the size"
model inspect "$golden/qwen2" > facts
has facts '^F16  *2[0-9]* tensors'
has facts '^window  *3$'
has facts '^license  *not said$'
refused 'nowhere' inspect nowhere

scores() { echo '1 6 11 16 21 26 31 36 41 46 51 56' | model score "$1"; }

# ---- export: there and back is where it began, to the last byte
for name in llama qwen2 gpt2; do   # test_export has them all
    model export "$golden/$name" --out=$name.gguf > /dev/null
    model export $name.gguf --to=hf --out=$name > /dev/null
    model export $name --out=$name.2.gguf > /dev/null
    scores "$golden/$name" > a
    scores $name | cmp - a || fail "$name computes something else after the way back"
    cmp $name.gguf $name.2.gguf || fail "$name is another model after the way back"
    model inspect $name | grep -v '^tokenizer\|^file_bytes' > a
    model inspect "$golden/$name" | grep -v '^tokenizer\|^file_bytes' | cmp - a || fail "$name looks different after the way back"
done
model export "$golden/llama.gguf" --to=hf --out=folder > table
has table '^model.layers.1.mlp.down_proj.weight  *F32  *-> F32  *6144 bytes$'
model export folder --out=again.gguf > /dev/null
has folder/README.md 'license: "mit"'
[ -s folder/tokenizer.json ] || fail "the tokenizer is missing"
refused "'folder' exists" export "$golden/llama.gguf" --to=hf --out=folder
refused "'again.gguf' exists" export folder --out=again.gguf
refused '--out is missing' export folder

# ---- quantize: types only as asked, unless told otherwise
refused '--type is missing' quantize folder --out=q.gguf
refused 'rows of 48 values are not whole blocks of Q8_0' quantize folder --type=q8_0 --out=q.gguf
[ ! -e q.gguf ] || fail "a refused file is there"
model quantize folder --type=q8_0 --fall-back --out=q.gguf --json > report
has report '"name":"blk.0.ffn_down.weight","stored":"F32","type":"F16","bytes":3072,"fell_back":true'
has report '"name":"blk.0.attn_q.weight","stored":"F32","type":"Q8_0","bytes":1088}'
model inspect q.gguf | grep -q '^quantization  *Q8_0$' || fail "the quantised file is not of Q8_0"
refused 'Q8_0, which a folder cannot hold' export q.gguf --to=hf --out=q
model export q.gguf --to=hf --type=bf16 --out=q > /dev/null
model inspect q | grep -q '^BF16  *21 tensors' || fail "the folder is not of BF16"

# ---- import from this machine
[ "$(model import "$golden/mistral" --out=m)" = m ] || fail "import does not say where the model is"
cmp m/model.safetensors "$golden/mistral/model.safetensors"
has m/import.json "\"sha256\":\"$(sha256sum < m/config.json | cut -d' ' -f1)\""
[ "$(model import q.gguf --out=one)" = one/q.gguf ] || fail "import does not name the file"
cmp one/q.gguf q.gguf
[ "$(model import "$golden/split-00001-of-00003.gguf" --out=parts)" = parts/split-00001-of-00003.gguf ] ||
    fail "the first of the split files is not named"
[ "$(ls parts | wc -l)" = 4 ] || fail "import of three split files gave: $(ls parts)"
model inspect parts/split-00001-of-00003.gguf > /dev/null
refused "'m' exists" import q.gguf --out=m
mkdir strange && sed 's/"mistral"/"mamba"/' "$golden/mistral/config.json" > strange/config.json
cp "$golden/mistral/model.safetensors" strange
refused 'mamba' import strange --out=s
head -c 60000 "$golden/llama.gguf" > cut.gguf
refused 'was cut' import cut.gguf --out=s
[ ! -e s ] && [ ! -e s.part ] || fail "a refused import leaves something"

# ---- import from a hub
if ! command -v python3 > /dev/null; then
    echo "passed, but for the hub: no python3"
    exit 0
fi
mkdir -p root/some/folder root/some/files root/some/unsaid root/some/empty root/files
cp "$golden"/qwen3/{config.json,generation_config.json,model.safetensors} root/some/folder
for to in some/files some/unsaid files; do cp "$golden/gpt2.gguf" root/$to; done
echo x > root/some/empty/x
hubs=
trap 'kill $hubs' EXIT
# start PORT_FILE [CERTIFICATE KEY]: a hub; its port goes into the file.
start() {
    python3 "$tests/cli/hub.py" root "$@" 2> hub.err & hubs="$hubs $!"
    for _ in $(seq 100); do [ ! -s "$1" ] || return 0; sleep 0.1; done
    fail "the hub does not start: $(cat hub.err)"
}
start port
at=http://127.0.0.1:$(cat port)
take() { model import "$@" --hub="$at"; }
faults() { printf '%s\n' "$@" > root/fault; : > root/log; }

faults 'status 503' 'cut 7000'   # tried again, and the second time only the rest
take hf://some/folder --out=h > /dev/null
cmp h/model.safetensors root/some/folder/model.safetensors || fail "what came is something else"
has root/log '^/cdn/some/folder/model.safetensors bytes=7000-$'
has h/import.json '"revision":"0123456789abcdef0123456789abcdef01234567"'
[ "$(ls -A h | wc -l)" = 4 ] || fail "there is more than the model: $(ls -A h)"

faults 'cut 9000' 'status 403'   # another run goes on where this one ended
! take hf://some/folder --out=r > out.txt 2> err.txt || fail "a refused download succeeded"
has err.txt 'is not open to everybody (answer 403)'
[ ! -e r ] && [ "$(stat -c %s r.part/model.safetensors.part)" = 9000 ] || fail "the part is not kept"
faults none
take hf://some/folder --out=r > /dev/null
cmp r/model.safetensors root/some/folder/model.safetensors
has root/log 'bytes=9000-$'
[ ! -e r.part ] || fail "the part is left"

faults 'cut 9000' 'status 403'   # but not with the part of another file
! take hf://some/folder --out=c > out.txt 2> err.txt || fail "a refused download succeeded"
printf '"of another"' > c.part/model.safetensors.part.etag
printf x | dd of=c.part/model.safetensors.part conv=notrunc status=none
faults none
take hf://some/folder --out=c > /dev/null
has root/log 'bytes=9000-$'
cmp c/model.safetensors root/some/folder/model.safetensors

faults 'stall 5000'   # a stop is an end in good order
"$loom" model import hf://some/folder --out=t --hub="$at" --quiet > out.txt 2> err.txt & running=$!
for _ in $(seq 300); do ! grep -q /cdn/ root/log || break; sleep 0.1; done
sleep 0.5
kill -TERM $running && got=0
wait $running || got=$?
[ "$got" = 143 ] || fail "a stopped import ended with $got: $(cat err.txt)"
faults none
take hf://some/folder --out=t > /dev/null
has root/log 'bytes=5000-$'
cmp t/model.safetensors root/some/folder/model.safetensors

faults flip
! take hf://some/files/gpt2.gguf --out=f > out.txt 2> err.txt || fail "a damaged download was accepted"
has err.txt 'what came has SHA-256'
[ ! -e f ] && [ ! -e f.part/gpt2.gguf ] && [ ! -e f.part/gpt2.gguf.part ] || fail "the damaged file is kept"
[ "$(take hf://some/files@main/gpt2.gguf --out=f)" = f/gpt2.gguf ] || fail "the file is not named"
cmp f/gpt2.gguf root/some/files/gpt2.gguf
faults flip   # the sum stands in a header, not in the listing
! take hf://some/unsaid/gpt2.gguf --out=n > out.txt 2> err.txt || fail "a damaged download was accepted"
has err.txt 'what came has SHA-256'
faults 'cut 100'
[ "$(take "$at/files/gpt2.gguf?download=true" --out=u)" = u/gpt2.gguf ] || fail "the file is not named"
cmp u/gpt2.gguf root/files/gpt2.gguf
has root/log '^/files/gpt2.gguf bytes=100-$'

cp "$golden"/split-* root/files
[ "$(take "$at/files/split-00001-of-00003.gguf?x=1" --out=us)" = us/split-00001-of-00003.gguf ] || fail "the file is not named"
for i in 1 2 3; do cmp "us/split-0000$i-of-00003.gguf" "$golden/split-0000$i-of-00003.gguf"; done
mv root/files/split-* root/some/files
take hf://some/files/split-00001-of-00003.gguf --out=hs > /dev/null
for i in 1 2 3; do cmp "hs/split-0000$i-of-00003.gguf" "$golden/split-0000$i-of-00003.gguf"; done
rm root/some/files/split-00003-of-00003.gguf
refused "no file 'split-00003-of-00003.gguf'" import hf://some/files/split-00001-of-00003.gguf --out=x --hub="$at"

if command -v openssl > /dev/null; then   # a certificate that nobody has signed
    openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 1 -subj /CN=localhost 2> openssl.err
    start port.tls certificate key
    refused 'certificate' import "https://localhost:$(cat port.tls)/files/gpt2.gguf" --out=x
fi

refused "name one, as in 'hf://some/files/gpt2.gguf'" import hf://some/files --out=x --hub="$at"
refused 'neither config.json' import hf://some/empty --out=x --hub="$at"
refused 'does not exist (answer 404)' import hf://some/nothing --out=x --hub="$at"
refused "no file 'other.gguf'" import hf://some/files/other.gguf --out=x --hub="$at"
refused 'is no model of a hub' import hf://some/../x --out=x --hub="$at"
refused 'is no model of a hub' import hf://some --out=x --hub="$at"
refused 'does not begin with https://' import http://example.org/x.gguf --out=x
refused 'does not begin with https://' import http://localhost.example.org/x.gguf --out=x
refused 'is not the address of a GGUF file' import "$at/files/x.bin" --out=x
truncate -s 2000000 root/files/large.gguf
refused 'more than the 1000000 bytes expected or allowed' import "$at/files/large.gguf" --out=x --download-max=1
[ ! -e x ] || fail "a refused import leaves a folder"
echo "ok"
