// The metrics of all nodes, requested every two seconds, and their samples as series for the plots.
import {plain} from './json.js';
import {Samples} from './samples.js';
import {shownTime} from './windows.js';

const LONGEST_INTERVAL = 2;

const RATES = {
    published: 'node_num_client_msg_published', sent: 'client_num_msg_sent', requests: 'http_api_num_requests',
    commands: 'client_api_num_requests', cpu: 'node_cpu_milliseconds',
};
const GAUGES = {
    clients: 'node_num_clients', users: 'node_num_unique_clients', channels: 'node_num_channels', memory: 'node_memory_sys',
    uptime: 'node_uptime_seconds',
};
const SAMPLED = ['http_api', 'client_api'].flatMap((api) => ['50%ile', '90%ile', '99%ile'].map((name) => `${api}_${name}`));

/** Dispatches `change` after each response of the nodes, and `old` when none has come for too long. */
export class Live extends EventTarget {
    #socket;
    #timer = 0;
    #oldTimer = 0;
    #before = new Map();
    /** The nodes as they are now: name, uid, gauges, rates, and if they do not answer, since when: `silentSince`. */
    nodes = [];
    /** The option node_ping_interval: two thirds of it pass between two questions, which wait a third for their answers, a second at most. */
    pingInterval = 3;
    /** The servers of the engine of each node: name, whether they can be reached and since when, the last error and so on. */
    servers = [];
    /** Which nodes the figures are of, as `node-1 only` or `2 of 3 nodes`; empty if they are of all. */
    partial = '';
    /** When the nodes last answered, in milliseconds since 1970, and whether the figures are older than they should be. */
    answeredAt = 0;
    isOld = false;
    /** The figures of all nodes over time. */
    samples;

    constructor(socket) {
        super();
        this.#socket = socket;
        this.samples = new Samples(socket);
        socket.addEventListener('state', ({detail}) => {
            clearTimeout(this.#timer);
            clearTimeout(this.#oldTimer);
            if (detail.state === 'connected') this.poll();
        });
    }

    /** Ask all nodes now, and then again and again. */
    async poll() {
        const began = Date.now();
        clearTimeout(this.#timer);
        try {
            const [known, answered, now] = await Promise.all([this.#socket.call('known_nodes'), this.#socket.call('nodes'), this.samples.load(shownTime())]);
            if (now === null) return; // who chose another window has asked anew
            this.#take(answered.data, known.data, now);
            this.#setOld(false);
            this.dispatchEvent(new Event('change'));
        } catch (error) { if (this.#socket.state === 'connected') console.error(error); } // otherwise the page shows the state
        clearTimeout(this.#timer);
        if (this.#socket.state !== 'connected') return;
        // Each of two questions waits a third of the interval for a node that does not answer; one of them counts as pause.
        const waited = Math.max(0, (Date.now() - began) / 1000 - Math.min(1, this.pingInterval / 3));
        this.#timer = setTimeout(() => this.poll(), Math.max(0.1, Math.min(LONGEST_INTERVAL, this.pingInterval * 2 / 3) - waited) * 1000);
    }

    #setOld(isOld) {
        this.isOld = isOld;
        clearTimeout(this.#oldTimer);
        if (isOld) this.dispatchEvent(new Event('old'));
        else {
            this.answeredAt = Date.now();
            this.#oldTimer = setTimeout(() => this.#setOld(true), 2000 * LONGEST_INTERVAL);
        }
    }

    #take(answered, known, now) {
        const alive = new Map(answered.map((node) => [node.uid, node]));
        const silent = known.filter(({uid}) => !alive.has(uid));
        this.nodes = [...answered, ...silent].map((node) => this.#describe(node));
        this.nodes.sort((one, other) => one.name.localeCompare(other.name) || one.uid.localeCompare(other.uid));
        this.servers = answered.flatMap((node) => plain(node.engine ?? []).map((server) => ({...server, node: node.name})));
        const isPartial = silent.length > 0 || (answered.length === 1 && this.servers.some(({reachable}) => !reachable));
        this.partial = !isPartial ? '' : answered.length === 1 ? `${answered[0].name} only` : `${answered.length} of ${this.nodes.length} nodes`;
        this.#before = new Map(answered.map(({uid, metrics}) => [uid, metrics]));
        this.samples.addPresent(now, this.nodes.filter(({silentSince}) => !silentSince));
    }

    /** The node as it is now. What is a difference, or needs many measurements, is that of the last sample at first. */
    #describe({uid, name: nodeName, metrics, reported_at: silentSince}) {
        const described = {uid, name: nodeName, silentSince};
        for (const [name, metric] of Object.entries(GAUGES)) described[name] = metrics[metric];
        const before = silentSince ? null : this.#before.get(uid);
        const elapsed = before ? (metrics.node_clock_milliseconds - before.node_clock_milliseconds) / 1000 : 0; // by the clock of the node
        for (const [name, metric] of Object.entries(RATES)) {
            const scale = name === 'cpu' ? 10 : 1; // milliseconds a second, as percent
            described[name] = elapsed > 0 ? Math.max(0, (metrics[metric] - before[metric]) / elapsed / scale) : this.samples.last(uid, name);
        }
        for (const name of SAMPLED) described[name] = this.samples.last(uid, name);
        return described;
    }
}
