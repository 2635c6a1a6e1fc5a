// The admin socket: commands and their replies, watched messages, and reconnecting.
import {parse} from './json.js';

const RETRY_FIRST = 500, RETRY_LONGEST = 5000;
const PATIENCE = 15000;

/** Dispatches `state` (detail: connecting, connected, lost, refused), `messages` and `missed`. */
export class Socket extends EventTarget {
    #socket = null;
    #uid = 0;
    #calls = new Map();
    #retry = RETRY_FIRST;
    #timer = 0;
    #watching = false;
    state = 'closed';

    /** Connect with the session in the cookie, and stay connected until `close`. */
    open() {
        this.#setState('connecting');
        this.#dial();
    }

    close() {
        clearTimeout(this.#timer);
        const socket = this.#socket;
        this.#socket = null;
        socket?.close();
        this.#failCalls('logged out');
        this.#setState('closed');
    }

    /** Send a command and return the body of its reply. Rejects with the error in the reply. */
    async call(method, params = {}) {
        const reply = await this.ask({method, params});
        if (reply.error) throw new Error(reply.error);
        return reply.body;
    }

    /** Send a command and return the whole reply. `text` is sent instead of the command's JSON, to keep its spelling. */
    ask(command, paramsText = null) {
        if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error('not connected'));
        const uid = String(++this.#uid);
        const params = paramsText ?? JSON.stringify(command.params ?? {});
        this.#socket.send(`{"uid":${JSON.stringify(uid)},"method":${JSON.stringify(command.method)},"params":${params}}`);
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => this.#settle(uid, (call) => call.reject(new Error('no answer'))), PATIENCE);
            this.#calls.set(uid, {resolve, reject, timer});
        });
    }

    /** Whether messages of watched channels are wanted. */
    async watch(wanted) {
        if (wanted === this.#watching) return;
        this.#watching = wanted;
        if (this.state === 'connected') await this.#connect().catch(() => {});
    }

    #connect() {
        return this.call('connect', {watch: this.#watching, batch: true});
    }

    #dial() {
        const url = new URL('socket', document.baseURI);
        url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
        url.hash = '';
        const socket = this.#socket = new WebSocket(url);
        socket.addEventListener('open', () => this.#opened(socket));
        socket.addEventListener('message', (event) => this.#received(event.data));
        socket.addEventListener('close', (event) => { if (socket === this.#socket) this.#lost(event); });
    }

    async #opened(socket) {
        try { await this.#connect(); } catch { return; } // the close that follows says why
        if (socket !== this.#socket) return;
        this.#retry = RETRY_FIRST;
        this.#setState('connected');
    }

    #received(text) {
        const parsed = parse(text);
        const messages = [];
        for (const item of Array.isArray(parsed) ? parsed : [parsed]) {
            if (item.uid !== undefined && this.#calls.has(item.uid)) this.#settle(item.uid, (call) => call.resolve(item));
            else if (item.method === 'message') messages.push(item.body);
            else if (item.method === 'missed') this.dispatchEvent(new CustomEvent('missed', {detail: item.body}));
        }
        if (messages.length) this.dispatchEvent(new CustomEvent('messages', {detail: messages}));
    }

    #lost(event) {
        this.#socket = null;
        this.#failCalls('the connection was lost');
        let reason = '';
        try { reason = JSON.parse(event.reason).reason; } catch { /* closed without a word */ }
        if (reason === 'unauthorized' || reason === 'expired') {
            this.#setState('refused');
            return;
        }
        this.#setState('lost', reason);
        this.#timer = setTimeout(() => this.#dial(), this.#retry);
        this.#retry = Math.min(this.#retry * 1.6, RETRY_LONGEST);
    }

    #settle(uid, how) {
        const call = this.#calls.get(uid);
        if (!call) return;
        this.#calls.delete(uid);
        clearTimeout(call.timer);
        how(call);
    }

    #failCalls(reason) {
        for (const uid of [...this.#calls.keys()]) this.#settle(uid, (call) => call.reject(new Error(reason)));
    }

    #setState(state, reason = '') {
        this.state = state;
        this.dispatchEvent(new CustomEvent('state', {detail: {state, reason}}));
    }
}
