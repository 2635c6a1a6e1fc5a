// The samples that all nodes keep, requested bit by bit, as lists for plots.
import {number} from './json.js';

export class Samples {
    #socket;
    #params;
    #window = 0;
    #stored = [];
    #nodes = new Map();
    /** Unix seconds of the values. */
    times = [];
    /** By uid: name, and a list of each figure, as long as `times`. */
    byNode = new Map();

    /** `params` says what the samples are about. */
    constructor(socket, params = {}) {
        this.#socket = socket;
        this.#params = params;
    }

    /** Request what is newer than the known samples of this window. Returns the time of the server, or null if another window was chosen meanwhile. */
    async load(window) {
        if (window !== this.#window) this.#forget();
        this.#window = window;
        const {data} = await this.#socket.call('samples', {...this.#params, window, since: this.#stored.at(-1) ?? 0});
        if (window !== this.#window) return null;
        // A node that could not be asked before, or begins to record a channel, has older samples too.
        const isNew = ({uid, since}) => !this.#nodes.get(uid)?.isAsked || this.#nodes.get(uid).since !== number(since);
        if (this.#stored.length && (number(data.now) < this.#stored.at(-1) || data.nodes.some(isNew))) { // or the clock was set back
            this.#forget();
            return this.load(window);
        }
        this.#add(data, window);
        return number(data.now);
    }

    /** The last sample of a figure on a node; null without any. */
    last(uid, figure) {
        return this.#nodes.get(uid)?.lists[figure]?.findLast((value) => value !== null) ?? null;
    }

    /** The nodes that have answered: uid, name, and since when a channel is recorded there. */
    get nodes() {
        return [...this.#nodes].filter(([, {isAsked}]) => isAsked).map(([uid, {name, since}]) => ({uid, name, since}));
    }

    /** Until the next samples, let the lists end with the present figures of the nodes: a list of objects with `uid`, `name` and the figures. */
    addPresent(now, present) {
        const known = this.#stored.length, nodes = new Map(present.map((node) => [node.uid, node]));
        this.times = [...this.#stored, now];
        this.byNode = new Map([...this.#nodes, ...present.filter(({uid}) => !this.#nodes.has(uid)).map(({uid, name}) => [uid, {name, lists: {}}])].map(([uid, {name, lists}]) => {
            const {uid: _, name: __, ...figures} = nodes.get(uid) ?? {};
            const names = [...new Set([...Object.keys(lists), ...Object.keys(figures)])];
            return [uid, {name, lists: Object.fromEntries(names.map((figure) => [figure, [...lists[figure] ?? new Array(known).fill(null), figures[figure] ?? null]]))}];
        }));
    }

    /** One list for all nodes: the sum or, with `Math.max`, the highest of what is known. */
    combined(figure, combine = (...values) => values.reduce((sum, value) => sum + value, 0)) {
        const lists = [...this.byNode.values()].map((node) => node.lists[figure]).filter(Boolean);
        return this.times.map((_, index) => {
            const values = lists.map((list) => list[index]).filter((value) => value !== null);
            return values.length ? combine(...values) : null;
        });
    }

    /** The ends of the names of all figures that begin with this, in alphabetical order. */
    figures(beginning) {
        const names = [...this.byNode.values()].flatMap(({lists}) => Object.keys(lists));
        return [...new Set(names)].filter((name) => name.startsWith(beginning)).map((name) => name.slice(beginning.length)).sort();
    }

    #forget() {
        this.#stored = [];
        this.#nodes.clear();
    }

    /** Append new samples, and forget those that are older than the window. */
    #add({step, times, nodes}, window) {
        for (const node of this.#nodes.values()) node.isAsked = false;
        for (const {uid, name, since, figures} of nodes) {
            const lists = this.#nodes.get(uid)?.lists ?? {};
            this.#nodes.set(uid, {name, since: number(since), lists, isAsked: true});
            for (const [figure, values] of Object.entries(figures)) {
                lists[figure] ??= [];
                pad(lists[figure], this.#stored.length);
                lists[figure].push(...values.map(number));
            }
        }
        this.#stored.push(...times);
        const old = Math.max(0, this.#stored.length - Math.ceil(window / step));
        this.#stored.splice(0, old);
        for (const [uid, {lists, isAsked}] of this.#nodes) {
            for (const list of Object.values(lists)) {
                pad(list, this.#stored.length + old);
                list.splice(0, old);
            }
            if (!isAsked && !Object.values(lists).some((list) => list.some((value) => value !== null))) this.#nodes.delete(uid);
        }
        [this.times, this.byNode] = [this.#stored, this.#nodes];
    }
}

function pad(list, length) {
    while (list.length < length) list.push(null);
}
