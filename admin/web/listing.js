// A list of channels or users on all nodes, in pages: searched by a part or the beginning of a name, and sorted.
import {fill, h, refill, scrollCard} from './dom.js';
import {count} from './format.js';
import {plain} from './json.js';
import {polling} from './polling.js';

const PAGE = 100, PAUSE_AFTER_LONG = 9000; // long lists cost the nodes more

/** A label as a part of a sentence: only its first letter changes, so `User ID` becomes `user ID`. */
const inText = (label) => label[0].toLowerCase() + label.slice(1);

export class Listing {
    #order = 'count';
    #starts = [null]; // where each page up to the current one begins
    #polling = polling((isWanted) => this.#load(isWanted));
    /** Show the current page of the list, and show it anew from time to time. */
    connected = this.#polling.again;
    leave = this.#polling.stop;

    /** The page with the list. `columns` are titles by order: name, count and, for channels, rate. `label` says what is searched. `href` links a name, `open` goes to it. */
    constructor(app, {title, kind, columns, label = 'Name', text = '', href, open}) {
        Object.assign(this, {app, kind, columns, label, href});
        const before = history.state ?? {}; // the list as it was left, when somebody comes back to it
        this.#order = before.order ?? this.#order;
        this.#starts = before.starts ?? this.#starts;
        this.field = h('input', {type: 'search', placeholder: label, 'aria-label': `Search ${kind}`, 'data-filter': true, value: before.text ?? text, oninput: () => this.#restart()});
        this.match = h('select', {'aria-label': `How the ${inText(label)} matches`, onchange: () => this.#restart()}, [['', 'contains'], ['prefix', 'begins with']].map(([value, way]) => h('option', {value, selected: value === before.match}, way)));
        this.summary = h('p', {class: 'hint', role: 'status'});
        this.head = h('tr');
        this.rows = h('tbody');
        this.pager = ['Previous', 'Next'].map((way, index) => h('button', {type: 'button', onclick: () => this.#turn(index)}, way));
        const submit = (event) => { event.preventDefault(); if (this.field.value) open(this.field.value); };
        this.element = h('div', {class: 'page'}, h('h1', {}, title), h('form', {class: 'row', onsubmit: submit}, h('label', {class: 'inline'}, `${label} `, this.match), this.field, h('button', {}, 'Open')),
            h('div', {class: 'row heading'}, this.summary, h('div', {class: 'row'}, this.pager)), scrollCard(columns.name, h('table', {}, h('thead', {}, this.head), this.rows)));
        this.#showHead();
        this.connected();
    }

    async #load(isWanted) {
        const start = this.#starts.at(-1);
        const page = this.#order === 'name' ? {after: start} : {offset: start ?? 0};
        const found = await this.app.socket.call('list', {kind: this.kind, text: this.field.value, prefix: this.match.value !== '', order: this.#order, ...page}).catch(() => null);
        if (found && isWanted()) this.#show(plain(found.data));
        return found?.data.total > 10000 ? PAUSE_AFTER_LONG : null;
    }

    #restart() {
        this.#starts = [null];
        this.#anew();
    }

    #anew() {
        history.replaceState({text: this.field.value, match: this.match.value, order: this.#order, starts: this.#starts}, '');
        getSelection().empty();
        this.connected();
    }

    #turn(isForward) {
        if (isForward) this.#starts.push(this.#order === 'name' ? this.last : PAGE * this.#starts.length);
        else this.#starts.pop();
        this.#anew();
    }

    #showHead() {
        fill(this.head, Object.entries(this.columns).map(([order, title], index) => h('th', {scope: 'col', class: order === 'name' ? '' : 'number', 'aria-sort': order !== this.#order ? null : order === 'name' ? 'ascending' : 'descending'},
            h('button', {type: 'button', class: 'sort', onclick: () => {
                this.#order = order;
                this.#showHead();
                this.head.children[index].firstChild.focus();
                this.#restart();
            }}, title, order === this.#order && h('span', {'aria-hidden': 'true'}, order === 'name' ? ' ▲' : ' ▼')))));
    }

    #show({items, total, nodes, has_more: hasMore}) {
        this.last = items.at(-1)?.name;
        const first = PAGE * (this.#starts.length - 1);
        const known = this.app.live.nodes.length, missing = nodes < known ? ` Only ${nodes} of ${known} nodes have answered.` : '';
        const ending = this.#order !== 'name' && total > 1000 ? ' Sorted by name, the list has all of them; otherwise the first 1,000.' : '';
        const all = hasMore ? `${nodes > 1 ? 'up to ' : ''}${count(total)}` : count(first + items.length);
        this.summary.textContent = !items.length ? `No ${this.kind}${this.field.value ? ` match. Press Enter to open this ${inText(this.label)}` : ''}.${missing}`
            : `${count(first + 1)} to ${count(first + items.length)} of ${all} ${this.kind}${nodes > 1 ? ', each listed once' : ''}.${ending}${missing}`;
        const focused = this.pager.indexOf(document.activeElement);
        [this.pager[0].disabled, this.pager[1].disabled] = [this.#starts.length === 1, !hasMore];
        if (this.pager[focused]?.disabled) this.pager[1 - focused].focus();
        const most = Math.max(1, ...items.map((item) => item.count));
        refill(this.rows, items.map((item) => h('tr', {}, h('td', {}, h('a', {href: this.href(item.name)}, item.name || 'anonymous')),
            h('td', {class: 'number'}, h('meter', {min: 0, max: most, value: item.count, 'aria-hidden': 'true'}), h('span', {}, count(item.count))),
            this.columns.rate && h('td', {class: 'number'}, count(item.rate)))));
    }
}
