// One channel: its figures over time, its messages, history, presence and options.
import {fill, h, table} from '../dom.js';
import {FeedList, pauseButton} from '../feed.js';
import {count, rate} from '../format.js';
import {HistoryList, reasonOf} from '../history.js';
import {coloured, plain, stringify} from '../json.js';
import {Plot} from '../plot.js';
import {tabs} from '../tabs.js';
import {isWatched, WatchPanel} from '../watching.js';

const INTERVAL = 3000;
const POINTS = 1200; // an hour
const MAX_SHOWN = 500;

export function channelPage(app, channel) {
    const {socket, feed, link} = app;
    let timer = 0, watching = null;
    const times = [];
    const series = {subscribers: [], present: [], rate: []};
    const tiles = Object.fromEntries(['Subscribers', 'Present', 'Messages/s', 'In history'].map((name) => [name, h('dd', {}, '–')]));
    const nodes = h('p', {class: 'hint', id: 'by-node'});
    const presence = h('div', {class: 'card scroll', id: 'presence', tabindex: 0, role: 'region', 'aria-label': 'Presence'});
    const options = h('div', {id: 'options'});
    const history = new HistoryList(app, channel);
    const list = new FeedList(feed, (message) => message.channel === channel, link, () => pause.update());
    const pause = pauseButton(list);
    const watch = h('div');
    const hint = h('p', {class: 'hint', id: 'watch-hint'});
    const line = (label, name) => ({label, values: series[name]});
    const plots = [
        new Plot('Subscribers and presence', () => times, () => [line('subscribers', 'subscribers'), line('present', 'present')], count, {figure: 'first'}),
        new Plot('Messages, per second', () => times, () => [line('messages', 'rate')], rate, {figure: 'first'}),
    ];
    const element = h('div', {class: 'page'},
        h('p', {class: 'crumbs'}, h('a', {href: link('channels')}, 'Channels')),
        h('div', {class: 'row heading'}, h('h1', {}, channel), h('a', {class: 'button', href: link('actions', 'publish', channel)}, 'Publish')),
        h('dl', {class: 'tiles'}, Object.entries(tiles).map(([name, value]) => h('div', {class: 'tile', 'data-tile': name}, h('dt', {}, name), value))),
        h('div', {class: 'columns wide-left'},
            tabs('Contents of the channel', [
                ['Messages', h('div', {class: 'page'}, watch, h('div', {class: 'row heading'}, hint, pause.button), h('div', {class: 'card one-channel'}, list.element))],
                ['History', history.element], ['Presence', presence], ['Options', options],
            ]),
            h('section', {class: 'page'}, nodes, plots.map((plot) => plot.element))));

    async function load() {
        clearTimeout(timer);
        const [found, present, kept] = await Promise.all([socket.call('channel', {channel}).catch(() => null), loadPresence(), history.load()]);
        if (!element.isConnected) return;
        timer = setTimeout(load, INTERVAL);
        if (!found) return;
        const {subscribers, rate: perSecond, nodes: byNode} = plain(found.data);
        tiles.Subscribers.textContent = count(subscribers);
        tiles.Present.textContent = count(present);
        tiles['Messages/s'].textContent = rate(perSecond);
        tiles['In history'].textContent = count(kept);
        nodes.textContent = subscribers ? `Subscribers by node: ${Object.entries(byNode).map(([name, number]) => `${name} ${count(number)}`).join(', ')}.` : 'Nobody is subscribed.';
        times.push(Date.now() / 1000);
        series.subscribers.push(subscribers);
        series.present.push(present);
        series.rate.push(perSecond);
        if (times.length > POINTS) [times, ...Object.values(series)].forEach((values) => values.shift());
        plots.forEach((plot) => plot.update());
    }

    /** Show who is present; returns how many, or null if the channel does not tell. */
    async function loadPresence() {
        let clients;
        try {
            clients = Object.entries((await socket.call('presence', {channel})).data);
        } catch (error) {
            if (socket.state === 'connected') fill(presence, h('p', {class: 'hint'}, reasonOf(error, 'presence')));
            return null;
        }
        const info = (parts) => parts.filter((part) => part !== undefined).map((part) => h('code', {class: 'info'}, coloured(stringify(part))));
        fill(presence, clients.length ? table(['User', 'Client', 'Info'], clients.slice(0, MAX_SHOWN).map(([client, {user, default_info: first, channel_info: second}]) => [
            h('a', {href: link('users', user)}, user || 'anonymous'), h('code', {class: 'client'}, client), info([first, second])])) : h('p', {class: 'hint'}, 'No subscribers.'),
        clients.length > MAX_SHOWN && h('p', {class: 'hint'}, `The first ${MAX_SHOWN} of ${count(clients.length)}.`));
        return clients.length;
    }

    async function connected() {
        load();
        const {config} = app.info;
        const namespace = namespaceOf(channel, config);
        const found = namespace ? config.namespaces.find(({name}) => name === namespace) : config.channel_options;
        if (!watching && found) {
            watching = new WatchPanel(app, namespace);
            fill(watch, watching.element);
        }
        watching?.connected();
        hint.textContent = !found ? 'The namespace is not in the configuration.' : isWatched(config, namespace) ? 'New messages appear here.'
            : 'New messages are not shown, because the option watch of this channel is off.';
        const defaults = (await socket.call('channel_defaults').catch(() => null))?.data;
        if (found && defaults) fill(options, optionTable(found, defaults, namespace));
    }

    if (app.info) connected();
    return {
        element, connected,
        key: (event) => { if (event.key === 'p') list.pause(!list.paused); },
        leave() {
            clearTimeout(timer);
            list.destroy();
            watching?.destroy();
            plots.forEach((plot) => plot.destroy());
        },
    };
}

/** The namespace of a channel, as the server finds it. */
function namespaceOf(channel, config) {
    const name = channel.startsWith(config.private_channel_prefix) ? channel.slice(config.private_channel_prefix.length) : channel;
    const boundary = config.namespace_channel_boundary;
    return boundary && name.includes(boundary) ? name.slice(0, name.indexOf(boundary)) : '';
}

/** The options that apply, those that are set first, each with where it comes from. */
function optionTable(found, defaults, namespace) {
    const place = namespace ? `namespace ${namespace}` : 'top level';
    const isSet = (name) => stringify(found[name]) !== stringify(defaults[name]);
    const names = Object.keys(defaults).sort((one, other) => isSet(other) - isSet(one));
    return h('div', {class: 'card scroll', tabindex: 0, role: 'region', 'aria-label': 'Options'}, h('table', {class: 'options'},
        h('thead', {}, h('tr', {}, ['Option', 'Value', 'From'].map((title) => h('th', {scope: 'col'}, title)))),
        h('tbody', {}, names.map((name) => h('tr', {'data-option': name}, h('th', {scope: 'row'}, h('code', {}, name)),
            h('td', {}, h('code', {}, stringify(found[name]))), h('td', {class: isSet(name) ? '' : 'faint'}, isSet(name) ? place : 'default'))))));
}
