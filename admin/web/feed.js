// Live watched messages: collected until the next animation frame, limited in number, and pausable.
import {fill, h, icon} from './dom.js';
import {block, coloured, stringify} from './json.js';
import {count, time} from './format.js';

export const KEPT = 500;
const SHOWN = 200;
const PREVIEW = 400;

/** The last messages of all watched channels. Dispatches `messages` with those that are new. */
export class Feed extends EventTarget {
    #socket;
    #views = 0;

    constructor(socket) {
        super();
        this.clear();
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
    /** The messages that arrived since the pause. */
    #waiting = [];
    #frame = 0;
    #listener = ({detail}) => this.#take(detail);
    #paused = false;

    constructor(feed, accepts, link, onchange = () => {}) {
        Object.assign(this, {feed, accepts, link, onchange});
        this.pauseButton = h('button', {type: 'button', onclick: () => this.pause()});
        this.element = h('ol', {class: 'feed', 'aria-label': 'Messages, newest first', 'aria-live': 'off'});
        feed.addEventListener('messages', this.#listener);
        feed.enter();
        this.#fill();
    }

    /** Start again after a change of the filter. */
    redraw() {
        this.#fill();
        this.onchange();
    }

    /** Pause, or continue with what has arrived meanwhile. */
    pause() {
        this.#paused = !this.#paused;
        this.#draw();
    }

    #fill() {
        this.#waiting = [];
        this.element.replaceChildren(...this.#rows(this.feed.messages.filter(this.accepts)));
        this.#showPause();
    }

    #showPause() {
        const {length} = this.#waiting;
        fill(this.pauseButton, icon(this.#paused ? 'play' : 'pause'), this.#paused ? `Continue${length ? ` (${count(length)}${length >= KEPT ? '+' : ''} new)` : ''}` : 'Pause');
        this.pauseButton.setAttribute('aria-pressed', String(this.#paused));
    }

    destroy() {
        this.feed.removeEventListener('messages', this.#listener);
        this.feed.leave();
        cancelAnimationFrame(this.#frame);
    }

    #take(messages) {
        // Only what can still be shown is kept, whatever comes until the next frame.
        this.#waiting = [...this.#waiting, ...messages.filter(this.accepts)].slice(-KEPT);
        this.#frame ||= requestAnimationFrame(() => this.#draw());
    }

    #draw() {
        this.#frame = 0;
        if (!this.#paused) {
            this.element.prepend(...this.#rows(this.#waiting));
            this.#waiting = [];
            while (this.element.childElementCount > SHOWN) this.element.lastElementChild.remove();
        }
        this.#showPause();
        this.onchange();
    }

    /** The last messages, newest first. */
    #rows(messages) {
        return messages.slice(-SHOWN).reverse().map((message) => this.#row(message));
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
            h('a', {class: 'channel', href: this.link('channel', message.channel)}, message.channel),
            user === undefined ? h('span', {class: 'user'}) : h('a', {class: 'user', href: this.link('users', user)}, user || 'anonymous'), button));
        return row;
    }
}
