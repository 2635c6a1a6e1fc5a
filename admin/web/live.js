// The metrics of all nodes, requested every two seconds, as series of limited length for the plots of all pages.

const LONGEST_INTERVAL = 2;
const POINTS = 450;

const RATES = {
    published: 'node_num_client_msg_published', sent: 'client_num_msg_sent', requests: 'http_api_num_requests',
    commands: 'client_api_num_requests', cpu: 'node_cpu_milliseconds',
};
const GAUGES = {
    clients: 'node_num_clients', users: 'node_num_unique_clients', channels: 'node_num_channels', memory: 'node_memory_sys',
    uptime: 'node_uptime_seconds',
};
const PERCENTILES = ['50%ile', '90%ile', '99%ile'];

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
    /** What cannot be reached: for each node and server of its engine the name, since when, and why. */
    unreachable = [];
    /** The name of the only node that the figures are of, because its engine does not reach the others; else empty. */
    onlyNode = '';
    /** Unix seconds of the points. */
    times = [];
    /** Totals over all nodes: a list for each name, as long as `times`. */
    series = {};
    /** By uid: name, and lists of clients, cpu, memory. */
    byNode = new Map();

    constructor(socket) {
        super();
        this.#socket = socket;
        socket.addEventListener('state', ({detail}) => {
            clearTimeout(this.#timer);
            if (detail.state === 'connected') this.#poll();
        });
    }

    async #poll() {
        try {
            const [answered, known] = await Promise.all([this.#socket.call('nodes'), this.#socket.call('stats')]);
            this.#take(answered.data, known.data.nodes);
            this.dispatchEvent(new Event('change'));
        } catch { /* the state of the socket says it */ }
        clearTimeout(this.#timer);
        if (this.#socket.state === 'connected') this.#timer = setTimeout(() => this.#poll(), Math.min(LONGEST_INTERVAL, this.pingInterval * 2 / 3) * 1000);
    }

    #take(answered, known) {
        const now = Date.now() / 1000;
        const alive = new Map(answered.map((node) => [node.uid, node]));
        for (const uid of alive.keys()) this.#heard.set(uid, now);
        // The server forgets a silent node after three intervals; who asks it as often as this page may do so earlier.
        const silent = known.filter(({uid}) => !alive.has(uid) && now - (this.#heard.get(uid) ?? now) < 2 * this.pingInterval);
        this.nodes = [...answered.map((node) => this.#describe(node, now, true)), ...silent.map((node) => this.#describe(node, now, false))];
        this.nodes.sort((one, other) => one.name.localeCompare(other.name) || one.uid.localeCompare(other.uid));
        this.unreachable = answered.flatMap((node) => (node.engine ?? []).filter(({reachable}) => !reachable).map((server) => ({...server, node: node.name})));
        this.onlyNode = answered.length === 1 && this.unreachable.length ? answered[0].name : '';
        this.#before = new Map(answered.map((node) => [node.uid, {now, metrics: node.metrics}]));
        this.#append(now);
    }

    #describe(node, now, answers) {
        const {metrics} = node;
        const described = {uid: node.uid, name: node.name, answers, latency: {}};
        for (const [name, metric] of Object.entries(GAUGES)) described[name] = metrics[metric];
        const before = answers ? this.#before.get(node.uid) : null;
        for (const [name, metric] of Object.entries(RATES)) {
            described[name] = before ? Math.max(0, (metrics[metric] - before.metrics[metric]) / (now - before.now)) : null;
        }
        if (described.cpu !== null) described.cpu /= 10; // milliseconds a second, as percent
        for (const api of ['http_api', 'client_api']) {
            described.latency[api] = PERCENTILES.map((name) => metrics[`${api}_1_microseconds_${name}`] ?? 0);
        }
        return described;
    }

    #append(now) {
        const answering = this.nodes.filter((node) => node.answers);
        const total = (name) => {
            const values = answering.map((node) => node[name]).filter((value) => value !== null);
            return values.length ? values.reduce((sum, value) => sum + value, 0) : null;
        };
        const point = {};
        for (const name of ['clients', 'users', 'channels', 'published', 'sent', 'requests', 'commands']) point[name] = total(name);
        for (const api of ['http_api', 'client_api']) {
            PERCENTILES.forEach((name, index) => {
                point[`${api}_${name}`] = Math.max(0, ...answering.map((node) => node.latency[api][index]));
            });
        }
        this.times.push(now);
        const length = this.times.length;
        for (const [name, value] of Object.entries(point)) append(this.series, name, value, length);
        for (const node of this.nodes) {
            if (!this.byNode.has(node.uid)) this.byNode.set(node.uid, {name: node.name, lists: {}});
            const lists = this.byNode.get(node.uid).lists;
            for (const name of ['clients', 'cpu', 'memory']) append(lists, name, node.answers ? node[name] : null, length);
        }
        this.#forgetOld();
    }

    #forgetOld() {
        const length = this.times.length;
        for (const [uid, {lists}] of this.byNode) {
            for (const name of Object.keys(lists)) pad(lists[name], length);
            if (lists.clients.every((value) => value === null)) this.byNode.delete(uid);
        }
        if (length <= POINTS) return;
        this.times.shift();
        for (const list of Object.values(this.series)) list.shift();
        for (const {lists} of this.byNode.values()) Object.values(lists).forEach((list) => list.shift());
    }
}

function append(lists, name, value, length) {
    lists[name] ??= [];
    pad(lists[name], length - 1);
    lists[name].push(value);
}

function pad(list, length) {
    while (list.length < length) list.push(null);
}
