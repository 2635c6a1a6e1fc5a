// Live watched messages: collected until the next animation frame, limited in number, and pausable.
import {h, icon} from './dom.js';
import {block, coloured, stringify} from './json.js';
import {count, time} from './format.js';

export const KEPT = 500;
const SHOWN = 200;
const PREVIEW = 400;

/** The last messages of all watched channels. Dispatches `messages` with those that are new. */
export class Feed extends EventTarget {
    messages = [];
    total = 0;
    missed = 0;
    #socket;
    #views = 0;

    constructor(socket) {
        super();
        this.#socket = socket;
        socket.addEventListener('messages', ({detail}) => this.#add(detail));
        socket.addEventListener('missed', ({detail}) => {
            this.missed += detail;
            this.dispatchEvent(new CustomEvent('messages', {detail: []}));
        });
    }

    /** Add a view; messages are requested while there is at least one. */
    enter() {
        this.#views += 1;
        this.#socket.watch(true);
    }

    leave() {
        this.#views -= 1;
        // Not at once: the next page may want them too.
        setTimeout(() => { if (!this.#views) this.#socket.watch(false); }, 0);
    }

    clear() {
        this.messages = [];
        this.total = 0;
        this.missed = 0;
    }

    #add(bodies) {
        const received = new Date();
        const added = bodies.map((body) => ({...body, received, text: stringify(body.data)}));
        this.total += added.length;
        this.messages = [...this.messages, ...added].slice(-KEPT);
        this.dispatchEvent(new CustomEvent('messages', {detail: added}));
    }
}

/** A list that shows a feed, newest first: filtered by `accepts`, and still while it is paused. */
export class FeedList {
    #feed;
    #accepts;
    #link;
    /** The messages that arrived since the pause. */
    waiting = [];
    #frame = 0;
    #listener;
    paused = false;

    constructor(feed, accepts, link, onchange = () => {}) {
        this.#feed = feed;
        this.#accepts = accepts;
        this.#link = link;
        this.onchange = onchange;
        this.element = h('ol', {class: 'feed', 'aria-label': 'Messages, newest first', 'aria-live': 'off'});
        this.#listener = ({detail}) => this.#take(detail);
        feed.addEventListener('messages', this.#listener);
        feed.enter();
        this.#fill();
    }

    /** Start again after a change of the filter. */
    redraw() {
        this.#fill();
        this.onchange();
    }

    #fill() {
        this.waiting = [];
        const rows = this.#feed.messages.filter(this.#accepts).slice(-SHOWN).reverse().map((message) => this.#row(message));
        this.element.replaceChildren(...rows);
    }

    pause(paused) {
        this.paused = paused;
        if (!paused) this.redraw();
        this.onchange();
    }

    destroy() {
        this.#feed.removeEventListener('messages', this.#listener);
        this.#feed.leave();
        cancelAnimationFrame(this.#frame);
    }

    #take(messages) {
        // Only what can still be shown is kept, whatever comes until the next frame.
        this.waiting = [...this.waiting, ...messages.filter(this.#accepts)].slice(-KEPT);
        this.#frame ||= requestAnimationFrame(() => this.#draw());
    }

    #draw() {
        this.#frame = 0;
        if (!this.paused) {
            const rows = this.waiting.slice(-SHOWN).reverse().map((message) => this.#row(message));
            this.waiting = [];
            this.element.prepend(...rows);
            while (this.element.childElementCount > SHOWN) this.element.lastElementChild.remove();
        }
        this.onchange();
    }

    #row(message) {
        const user = message.info?.user;
        const text = message.text.length > PREVIEW ? `${message.text.slice(0, PREVIEW)}…` : message.text;
        const button = h('button', {type: 'button', class: 'data', 'aria-expanded': 'false', onclick: () => {
            const {received, text: preview, ...body} = message;
            if (row.childElementCount === 1) row.append(block(body));
            else row.lastElementChild.remove();
            button.setAttribute('aria-expanded', String(row.childElementCount > 1));
        }}, h('code', {}, coloured(text)));
        const row = h('li', {}, h('div', {class: 'line'}, h('time', {datetime: message.received.toISOString()}, time(message.received)),
            h('a', {class: 'channel', href: this.#link('channel', message.channel)}, message.channel),
            user === undefined ? h('span', {class: 'user'}) : h('a', {class: 'user', href: this.#link('users', user)}, user || 'anonymous'), button));
        return row;
    }
}

/** The button that pauses and resumes a list. */
export function pauseButton(list) {
    const button = h('button', {type: 'button', 'aria-pressed': 'false', onclick: () => list.pause(!list.paused)});
    const update = () => {
        button.replaceChildren(icon(list.paused ? 'play' : 'pause'), list.paused ? `Continue${list.waiting.length ? ` (${count(list.waiting.length)}${list.waiting.length >= KEPT ? '+' : ''} new)` : ''}` : 'Pause');
        button.setAttribute('aria-pressed', String(list.paused));
    };
    update();
    return {button, update};
}
