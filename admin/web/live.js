// The metrics of all nodes, requested every two seconds, as series for the plots of all pages. What was before the page
// was opened comes from the samples of the nodes; the last point is always the present.
import {number, plain} from './json.js';

const LONGEST_INTERVAL = 2;
const WINDOW = 'gentrifugo.window';
/** The windows that can be chosen, in seconds. */
export const WINDOWS = {60: '1 min', 300: '5 min', 900: '15 min', 10800: '3 h', 86400: '24 h'};

const RATES = {
    published: 'node_num_client_msg_published', sent: 'client_num_msg_sent', requests: 'http_api_num_requests',
    commands: 'client_api_num_requests', cpu: 'node_cpu_milliseconds',
};
const GAUGES = {
    clients: 'node_num_clients', users: 'node_num_unique_clients', channels: 'node_num_channels', memory: 'node_memory_sys',
    uptime: 'node_uptime_seconds',
};
const SUMS = ['clients', 'users', 'channels', 'published', 'sent', 'requests', 'commands'];
const APIS = ['http_api', 'client_api'], PERCENTILES = ['50%ile', '90%ile', '99%ile'];
const HIGHEST = APIS.flatMap((api) => PERCENTILES.map((name) => `${api}_${name}`));

/** Dispatches `change` after each response of the nodes. */
export class Live extends EventTarget {
    #socket;
    #timer = 0;
    #before = new Map();
    /** The nodes as they are now: name, uid, gauges, rates, whether they answered. */
    nodes = [];
    /** The option node_ping_interval: two thirds of it pass between two questions, which wait a third for their answers. */
    pingInterval = 3;
    #heard = new Map();
    /** The servers of the engine of each node: name, whether they can be reached and since when, the last error and so on. */
    servers = [];
    /** The name of the only node that the figures are of, because its engine does not reach the others; else empty. */
    onlyNode = '';
    /** The seconds that the series go back. */
    window = WINDOWS[localStorage.getItem(WINDOW)] ? Number(localStorage.getItem(WINDOW)) : 900;
    #samples = {step: 0, times: [], nodes: new Map()};
    /** Unix seconds of the points. */
    times = [];
    /** Over all nodes, the sum or the highest value: a list for each name, as long as `times`. */
    series = {};
    /** By uid: name, and lists of all figures. */
    byNode = new Map();

    constructor(socket) {
        super();
        this.#socket = socket;
        socket.addEventListener('state', ({detail}) => {
            clearTimeout(this.#timer);
            if (detail.state === 'connected') this.#poll();
        });
    }

    /** Let the series go back so many seconds. */
    show(window) {
        this.window = window;
        localStorage.setItem(WINDOW, window);
        this.#samples = {step: 0, times: [], nodes: new Map()};
        if (this.#socket.state === 'connected') this.#poll();
    }

    async #poll() {
        const {window} = this, began = Date.now();
        clearTimeout(this.#timer);
        try {
            const [answered, known, samples] = await Promise.all([this.#socket.call('nodes'), this.#socket.call('stats'),
                this.#socket.call('samples', {window, since: this.#samples.times.at(-1) ?? 0})]);
            if (window !== this.window) return; // another one was chosen meanwhile, which asks for itself
            // A node that could not be asked before has older samples too.
            if (this.#samples.times.length && samples.data.nodes.some(({uid}) => !this.#samples.asked.has(uid))) return this.show(window);
            this.#addSamples(samples.data);
            this.#take(answered.data, known.data.nodes, number(samples.data.now));
            this.dispatchEvent(new Event('change'));
        } catch { /* the state of the socket says it */ }
        clearTimeout(this.#timer);
        if (this.#socket.state !== 'connected') return;
        // Each of two questions waits a third of the interval for a node that does not answer; one of them counts as pause.
        const waited = Math.max(0, (Date.now() - began) / 1000 - this.pingInterval / 3);
        this.#timer = setTimeout(() => this.#poll(), Math.max(0.1, Math.min(LONGEST_INTERVAL, this.pingInterval * 2 / 3) - waited) * 1000);
    }

    /** Append new samples, and forget those that are older than the window. */
    #addSamples({step, times, nodes}) {
        const kept = this.#samples;
        [kept.step, kept.asked] = [step, new Set(nodes.map(({uid}) => uid))];
        for (const {uid, name, figures} of nodes) {
            if (!kept.nodes.has(uid)) kept.nodes.set(uid, {name, lists: {}});
            const {lists} = kept.nodes.get(uid);
            for (const [figure, values] of Object.entries(figures)) {
                lists[figure] ??= [];
                pad(lists[figure], kept.times.length);
                lists[figure].push(...values.map(number));
            }
        }
        kept.times.push(...times);
        const old = Math.max(0, kept.times.length - Math.ceil(this.window / step));
        kept.times.splice(0, old);
        for (const [uid, {lists}] of kept.nodes) {
            for (const list of Object.values(lists)) {
                pad(list, kept.times.length + old);
                list.splice(0, old);
            }
            if (!lists.clients?.some((value) => value !== null)) kept.nodes.delete(uid);
        }
    }

    #take(answered, known, now) {
        const alive = new Map(answered.map((node) => [node.uid, node]));
        for (const uid of alive.keys()) this.#heard.set(uid, now);
        // The server forgets a silent node after three intervals; who asks it as often as this page may do so earlier.
        const silent = known.filter(({uid}) => !alive.has(uid) && now - (this.#heard.get(uid) ?? now) < 2 * this.pingInterval);
        this.nodes = [...answered.map((node) => this.#describe(node, now, true)), ...silent.map((node) => this.#describe(node, now, false))];
        this.nodes.sort((one, other) => one.name.localeCompare(other.name) || one.uid.localeCompare(other.uid));
        this.servers = answered.flatMap((node) => plain(node.engine ?? []).map((server) => ({...server, node: node.name})));
        this.onlyNode = answered.length === 1 && this.servers.some(({reachable}) => !reachable) ? answered[0].name : '';
        this.#before = new Map(answered.map((node) => [node.uid, {now, metrics: node.metrics}]));
        this.#combine(now);
    }

    /** The node as it is now. What is a difference, or needs many measurements, is that of the last sample at first. */
    #describe(node, now, answers) {
        const {metrics} = node;
        const sampled = (name) => this.#samples.nodes.get(node.uid)?.lists[name]?.findLast((value) => value !== null) ?? null;
        const described = {uid: node.uid, name: node.name, answers, latency: {}};
        for (const [name, metric] of Object.entries(GAUGES)) described[name] = metrics[metric];
        const before = answers ? this.#before.get(node.uid) : null;
        for (const [name, metric] of Object.entries(RATES)) {
            const scale = name === 'cpu' ? 10 : 1; // milliseconds a second, as percent
            described[name] = before && now > before.now ? Math.max(0, (metrics[metric] - before.metrics[metric]) / (now - before.now) / scale) : sampled(name);
        }
        for (const api of APIS) {
            described.latency[api] = PERCENTILES.map((name) => sampled(`${api}_${name}`));
            PERCENTILES.forEach((name, index) => { described[`${api}_${name}`] = described.latency[api][index]; });
        }
        return described;
    }

    /** Make the series of the samples, and of the present. */
    #combine(now) {
        this.times = [...this.#samples.times, now];
        const {length} = this.#samples.times;
        this.byNode.clear();
        for (const [uid, {name, lists}] of this.#samples.nodes) {
            const present = this.nodes.find((node) => node.uid === uid && node.answers);
            this.byNode.set(uid, {name, lists: Object.fromEntries(Object.entries(lists).map(([figure, list]) => [figure, [...list, present?.[figure] ?? null]]))});
        }
        for (const node of this.nodes) {
            if (!node.answers || this.byNode.has(node.uid)) continue;
            const lists = Object.fromEntries(Object.entries(node).map(([figure, value]) => [figure, [...new Array(length).fill(null), value]]));
            this.byNode.set(node.uid, {name: node.name, lists});
        }
        const nodes = [...this.byNode.values()];
        for (const name of [...SUMS, ...HIGHEST]) {
            this.series[name] = this.times.map((_, index) => {
                const values = nodes.map(({lists}) => lists[name]?.[index] ?? null).filter((value) => value !== null);
                if (!values.length) return null;
                return SUMS.includes(name) ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
            });
        }
    }
}

function pad(list, length) {
    while (list.length < length) list.push(null);
}
