// One channel: its presence, its history and its live messages.
import {fill, h} from '../dom.js';
import {FeedList, pauseButton} from '../feed.js';
import {count} from '../format.js';
import {block, coloured, stringify} from '../json.js';

const INTERVAL = 4000;

export function channelPage(app, channel) {
    const {socket, feed, link} = app;
    let timer = 0;
    const subscribers = h('dd', {}, '–');
    const presenceCount = h('dd', {}, '–');
    const historyCount = h('dd', {}, '–');
    const presence = h('div', {class: 'card scroll', id: 'presence'});
    const history = h('div', {class: 'card', id: 'history'});
    const hint = h('p', {class: 'hint'});
    const list = new FeedList(feed, (message) => message.channel === channel, link, () => pause.update());
    const pause = pauseButton(list);
    const element = h('div', {class: 'page'},
        h('p', {class: 'crumbs'}, h('a', {href: link('channels')}, 'Channels')),
        h('div', {class: 'row heading'}, h('h1', {}, channel), h('a', {class: 'button', href: link('actions', 'publish', channel)}, 'Publish')),
        h('dl', {class: 'tiles'}, [['Subscribers', subscribers], ['Present', presenceCount], ['In history', historyCount]]
            .map(([name, value]) => h('div', {class: 'tile', 'data-tile': name}, h('dt', {}, name), value))),
        h('div', {class: 'columns'},
            h('section', {}, h('div', {class: 'row heading'}, h('h2', {}, 'Live'), pause.button), hint, h('div', {class: 'card one-channel'}, list.element)),
            h('section', {}, h('h2', {}, 'Presence'), presence, h('h2', {}, 'History'), history)));

    async function load() {
        clearTimeout(timer);
        await Promise.all([loadSubscribers(), loadPresence(), loadHistory()]);
        if (element.isConnected) timer = setTimeout(load, INTERVAL);
    }

    async function loadSubscribers() {
        const found = await socket.call('subscribers', {channel}).catch(() => null);
        if (found) subscribers.textContent = count(found.data[channel] ?? 0);
    }

    async function loadPresence() {
        const clients = await dataOf('presence', presence, presenceCount);
        if (!clients) return;
        const entries = Object.entries(clients);
        presenceCount.textContent = count(entries.length);
        fill(presence, entries.length ? h('table', {},
            h('thead', {}, h('tr', {}, ['User', 'Client'].map((title) => h('th', {scope: 'col'}, title)))),
            h('tbody', {}, entries.slice(0, 500).map(([client, info]) => h('tr', {},
                h('td', {}, h('a', {href: link('users', info.user)}, info.user || 'anonymous')), h('td', {}, h('code', {class: 'client'}, client),
                    [info.default_info, info.channel_info].filter((part) => part !== undefined)
                        .map((part) => h('code', {class: 'info'}, coloured(stringify(part))))))))) :
            h('p', {class: 'hint'}, 'No subscribers.'));
    }

    async function loadHistory() {
        const messages = await dataOf('history', history, historyCount);
        if (!messages) return;
        historyCount.textContent = count(messages.length);
        const opened = new Set([...history.querySelectorAll('details[open]')].map((details) => details.dataset.uid));
        fill(history, messages.length ? h('ol', {class: 'feed'}, messages.slice(0, 200).map((message) => h('li', {},
            h('details', {'data-uid': message.uid, open: opened.has(message.uid)}, h('summary', {},
                message.info && h('span', {class: 'user'}, message.info.user || 'anonymous'), h('code', {}, coloured(stringify(message.data).slice(0, 400)))),
            block(message))))) : h('p', {class: 'hint'}, 'The history is empty.'));
    }

    /** The data of a reply; an error is shown in its place. */
    async function dataOf(method, place, figure) {
        try {
            const body = await socket.call(method, {channel});
            return body.data;
        } catch (error) {
            figure.textContent = '–';
            const texts = {'not available': `This channel has no ${method}: its options do not enable it.`, 'namespace not found': 'The configuration has no such namespace.'};
            if (socket.state === 'connected') fill(place, h('p', {class: 'hint'}, texts[error.message] ?? error.message));
            return null;
        }
    }

    function connected() {
        const options = optionsOf(channel, app.info?.config);
        hint.textContent = options && !options.watch ? 'Messages of this channel are not shown live: its option watch is off.' : '';
        load();
    }

    if (app.info) connected();
    return {
        element, connected,
        key: (event) => { if (event.key === 'p') list.pause(!list.paused); },
        leave() {
            clearTimeout(timer);
            list.destroy();
        },
    };
}

/** The options of a channel by its name, as the server finds them; null when there is no such namespace. */
function optionsOf(channel, config) {
    if (!config) return null;
    const name = channel.startsWith(config.private_channel_prefix) ? channel.slice(config.private_channel_prefix.length) : channel;
    const end = name.indexOf(config.namespace_channel_boundary);
    if (end < 0) return config.channel_options;
    return config.namespaces.find((namespace) => namespace.name === name.slice(0, end)) ?? null;
}
