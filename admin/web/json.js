// JSON with the original spelling of numbers, if the browser provides it.
import {h} from './dom.js';

/** A number that a JavaScript number cannot spell as it came: 1e3, 1.50, or one of many digits. */
class Spelled {
    constructor(source) { this.source = source; }
}

/** JSON.parse that keeps such numbers. */
export function parse(text) {
    return JSON.parse(text, (key, value, {source} = {}) => (typeof value === 'number' && source !== undefined && String(value) !== source ? new Spelled(source) : value));
}

/** The number itself, however it is spelled; null stays null. */
export function number(value) {
    return value instanceof Spelled ? Number(value.source) : value;
}

/** JSON.stringify that keeps the spelling of such numbers, on one line or indented. */
export function stringify(value, indent = 0, depth = 0) {
    if (value instanceof Spelled) return value.source;
    if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
    const [open, close] = Array.isArray(value) ? '[]' : '{}';
    const items = Array.isArray(value)
        ? value.map((item) => stringify(item, indent, depth + 1))
        : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${indent ? ' ' : ''}${stringify(item, indent, depth + 1)}`);
    if (!items.length) return open + close;
    if (!indent) return open + items.join(',') + close;
    const inner = `\n${' '.repeat(indent * (depth + 1))}`;
    return open + inner + items.join(`,${inner}`) + `\n${' '.repeat(indent * depth)}` + close;
}

const TOKENS = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|(-?\d[\d.eE+-]*)/g;

/** JSON text in colours. */
export function coloured(text) {
    const parts = [];
    let end = 0;
    for (const match of text.matchAll(TOKENS)) {
        parts.push(text.slice(end, match.index));
        end = match.index + match[0].length;
        const kind = match[1] ? (match[2] ? 'key' : 'string') : match[3] ? 'word' : 'number';
        parts.push(h('span', {class: `json-${kind}`}, match[1] ?? match[0]), match[2] ?? '');
    }
    return [...parts, text.slice(end)];
}

/** The same value with numbers that can be calculated with, and no longer spelt as they came. */
export function plain(value) {
    return JSON.parse(stringify(value));
}

/** A block of indented JSON. */
export function block(value) {
    return h('pre', {class: 'json'}, coloured(stringify(value, 2)));
}
