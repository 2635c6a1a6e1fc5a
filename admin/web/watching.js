// Watching namespaces without the option `watch` for a while: the form, and what is watched now.
import {fill, h} from './dom.js';
import {duration} from './format.js';
import {plain} from './json.js';
import {polling} from './polling.js';

const INTERVAL = 1000;
const TIMES = [60, 300, 600];

/** A card for all namespaces, or for `only` one. It is empty if every one of them has the option. `onchange` is called when others are watched than before. */
export class WatchPanel {
    #polling = polling((isWanted) => this.#load(isWanted), INTERVAL);
    #watched = [];
    #off = [];
    destroy = this.#polling.stop;

    constructor(app, only = null, onchange = () => {}) {
        Object.assign(this, {app, only, onchange});
        this.problem = h('p', {class: 'problem', role: 'alert'});
        this.active = h('ul', {class: 'watched'});
        this.select = h('select', {'aria-label': 'Namespace'});
        this.seconds = h('select', {'aria-label': 'How long'}, TIMES.map((seconds) => h('option', {value: seconds}, duration(seconds))));
        this.form = h('form', {class: 'row', onsubmit: (event) => {
            event.preventDefault();
            this.#watch(this.only ?? this.select.value, Number(this.seconds.value));
        }}, 'Show messages of ', only === null ? this.select : h('b', {}, nameOf(only)), 'for', this.seconds, h('button', {id: 'watch'}, 'Watch'));
        this.help = h('p', {class: 'hint'});
        this.details = h('details', {}, h('summary', {}, only === null ? 'Watch other channels for a while' : 'Watch this channel for a while'), this.help, this.form);
        this.element = h('section', {class: 'card watch', 'aria-label': 'Watch without the option', hidden: true}, this.details, this.active, this.problem);
    }

    /** Show what can be watched, once the options of the server are known. */
    connected() {
        const {config} = this.app.info;
        const off = this.#off = [{...config.channel_options, name: ''}, ...config.namespaces].filter(({watch}) => !watch).map(({name}) => name).filter((name) => this.only === null || name === this.only);
        this.element.hidden = !off.length;
        if (!off.length) return;
        fill(this.select, off.map((name) => h('option', {value: name}, nameOf(name))));
        this.isAnyShown = this.only === null && off.length <= config.namespaces.length;
        this.details.open = !this.isAnyShown;
        this.#showHelp();
        this.#polling.again();
    }

    /** Whether messages of each namespace without the option are shown for a while. */
    get isWatching() {
        return this.#off.every((name) => this.#watched.includes(name));
    }

    #showHelp() {
        const option = h('code', {}, 'watch');
        const state = this.isWatching ? ['Messages are shown for a while, although the option ', option]
            : [this.isAnyShown || this.#watched.length ? 'The messages of some channels are not shown, because their option ' : 'No messages are shown, because the option ', option];
        fill(this.help, state, ' is off. To see them always, set ', h('code', {}, '"watch": true'), ` ${this.only ? `in the namespace ${this.only}` : 'in the configuration'} and send HUP to each node; if an application contains the options, restart it. `,
            this.isWatching ? '' : 'Or watch them for some time. All nodes log this.');
    }

    async #load(isWanted) {
        const found = await this.app.socket.call('watched_namespaces').catch(() => null);
        if (found && isWanted()) this.#take(found.data);
    }

    #take(remaining) {
        const watched = Object.entries(plain(remaining)).filter(([name]) => this.only === null || name === this.only);
        const names = watched.map(([name]) => name);
        // The button that ends it must stay while somebody presses it.
        if (JSON.stringify(names) !== JSON.stringify(this.#watched)) {
            this.#watched = names;
            fill(this.active, watched.map(([name]) => h('li', {class: 'row', 'data-namespace': name},
                h('span', {}, 'Watching ', h('b', {}, nameOf(name))), h('span', {class: 'left'}), h('button', {type: 'button', onclick: () => this.#watch(name, 0)}, 'Stop'))));
            this.#showHelp();
            this.onchange();
        }
        watched.forEach(([, seconds], index) => { this.active.children[index].querySelector('.left').textContent = `${duration(Math.round(seconds))} left`; });
    }

    async #watch(namespace, seconds) {
        this.problem.textContent = '';
        const found = await this.app.socket.call('watch_namespace', {namespace, seconds}).catch((error) => { this.problem.textContent = `Not changed: ${error.message}.`; });
        if (found) this.#take(found.data);
    }
}

function nameOf(namespace) {
    return namespace || 'channels without a namespace';
}
