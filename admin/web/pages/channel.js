// One channel: its figures over time, its messages, history, presence and options.
import {fill, h, refill, scrollCard, table} from '../dom.js';
import {FeedList} from '../feed.js';
import {count, time} from '../format.js';
import {askChannel, HistoryList} from '../history.js';
import {coloured, plain, stringify} from '../json.js';
import {Plot} from '../plot.js';
import {polling} from '../polling.js';
import {Samples} from '../samples.js';
import {tabs} from '../tabs.js';
import {WatchPanel} from '../watching.js';
import {shownTime, windowChoice} from '../windows.js';

const MAX_SHOWN = 500;

export function channelPage(app, channel) {
    const {socket, feed, link} = app;
    const {again, stop} = polling(load);
    let watching = null;
    const samples = new Samples(socket, {about: 'channel', channel});
    const tiles = Object.fromEntries(['Subscribers', 'Present', 'Messages/s', 'In history'].map((name) => [name, h('dd', {}, '–')]));
    const recorded = h('p', {class: 'hint', id: 'recorded'});
    const presence = scrollCard('Presence', null, {id: 'presence'});
    const options = h('div', {id: 'options'});
    const history = new HistoryList(app, channel);
    const list = new FeedList(feed, (message) => message.channel === channel, link);
    const watch = h('div');
    const hint = h('p', {class: 'hint', id: 'watch-hint'});
    const highest = (title, label, name, format) => new Plot(title, () => samples.times, () => [{label, values: samples.combined(name, Math.max)}], format);
    const plots = [
        new Plot('Subscribers', () => samples.times, () => [...samples.byNode.values()].map(({name, lists}) => ({label: name, values: lists.subscribers ?? []})), count, {stacked: true}),
        highest('Messages, per second', 'messages', 'rate', count),
        highest('Clients present', 'present', 'present', count),
    ];
    const element = h('div', {class: 'page'},
        h('p', {class: 'crumbs'}, h('a', {href: link('channels')}, 'Channels')),
        h('div', {class: 'row heading'}, h('h1', {}, channel), h('a', {class: 'button', href: link('actions', 'publish', channel)}, 'Publish')),
        h('dl', {class: 'tiles'}, Object.entries(tiles).map(([name, value]) => h('div', {class: 'tile', 'data-tile': name}, h('dt', {}, name), value))),
        h('div', {class: 'columns wide-left'},
            tabs('Contents of the channel', [
                ['Messages', h('div', {class: 'page'}, watch, h('div', {class: 'row heading'}, hint, list.pauseButton), h('div', {class: 'card one-channel'}, list.element))],
                ['History', history.element], ['Presence', presence], ['Options', options],
            ]),
            h('section', {class: 'page'}, windowChoice(again), recorded, plots.map((plot) => plot.element))));

    async function load(isWanted) {
        const found = await socket.call('channel', {channel}).catch(() => null); // from then on it is recorded
        const [present, kept, now] = await Promise.all([loadPresence(), history.load(), samples.load(shownTime()).catch(() => undefined)]);
        if (!found || !now || !isWanted()) return;
        const {subscribers, rate: perSecond, nodes: byNode} = plain(found.data);
        for (const [name, figure] of Object.entries({Subscribers: subscribers, Present: present, 'Messages/s': perSecond, 'In history': kept})) tiles[name].textContent = count(figure);
        samples.addPresent(now, samples.nodes.map(({uid, name}) => ({uid, name, subscribers: byNode[name] ?? 0, rate: perSecond, present})));
        recorded.textContent = recordedSince(samples.nodes.filter(({since}) => since > samples.times[0]));
        plots.forEach((plot) => plot.update());
    }

    /** Show who is present; returns how many, or null if the channel does not tell. */
    async function loadPresence() {
        const found = await askChannel(socket, 'presence', 'presence', channel, presence);
        if (!found) return null;
        const clients = Object.entries(found);
        const info = (parts) => parts.filter((part) => part !== undefined).map((part) => h('code', {class: 'info'}, coloured(stringify(part))));
        refill(presence, clients.length ? table(['User', 'Client', 'Info'], clients.slice(0, MAX_SHOWN).map(([client, {user, default_info: first, channel_info: second}]) => [
            h('a', {href: link('users', user)}, user || 'anonymous'), h('code', {class: 'client'}, client), info([first, second])])) : h('p', {class: 'hint'}, 'No subscribers.'),
        clients.length > MAX_SHOWN && h('p', {class: 'hint'}, `The first ${MAX_SHOWN} of ${count(clients.length)}.`));
        return clients.length;
    }

    /** Say whether new messages are shown: always because of the option, or for a while because somebody watches. */
    function showHint() {
        const {found} = optionsOf(channel, app.info.config);
        hint.textContent = !found ? 'The namespace is not in the configuration.' : found.watch || watching.isWatching ? 'New messages appear here.'
            : 'New messages are not shown, because the option watch of this channel is off.';
    }

    async function connected() {
        again();
        const {namespace, found} = optionsOf(channel, app.info.config);
        if (!watching && found) {
            watching = new WatchPanel(app, namespace, showHint);
            fill(watch, watching.element);
        }
        watching?.connected();
        showHint();
        const defaults = (await socket.call('channel_defaults').catch(() => null))?.data;
        if (found && defaults) fill(options, optionTable(found, defaults, namespace));
    }

    if (app.info) connected();
    return {
        element, connected,
        key: (event) => { if (event.key === 'p') list.pause(); },
        leave() {
            stop();
            list.destroy();
            watching?.destroy();
            plots.forEach((plot) => plot.destroy());
        },
    };
}

/** Since when a channel is recorded, if that is later than the plots begin. */
function recordedSince(nodes) {
    const start = ({since}) => time(new Date(1000 * since));
    const texts = [...new Set(nodes.map(start))].map((one) => `${one} on ${nodes.filter((node) => start(node) === one).map(({name}) => name).join(' and ')}`);
    return texts.length ? `Recorded since ${texts.join(', ')}. Nodes record the largest channels, and those that somebody has opened.` : '';
}

/** The namespace of a channel, as the server finds it, and its options; those of one that does not exist are undefined. */
function optionsOf(channel, {private_channel_prefix: prefix, namespace_channel_boundary: boundary, namespaces, channel_options: options}) {
    const name = channel.startsWith(prefix) ? channel.slice(prefix.length) : channel;
    const namespace = boundary && name.includes(boundary) ? name.slice(0, name.indexOf(boundary)) : '';
    return {namespace, found: namespace ? namespaces.find((one) => one.name === namespace) : options};
}

/** The options that apply, those that are set first, each with where it comes from. */
function optionTable(found, defaults, namespace) {
    const place = namespace ? `namespace ${namespace}` : 'top level';
    const isSet = (name) => stringify(found[name]) !== stringify(defaults[name]);
    const names = Object.keys(defaults).sort((one, other) => isSet(other) - isSet(one));
    return scrollCard('Options', table(['Option', 'Value', 'From'], names.map((name) => [h('code', {}, name), h('code', {}, stringify(found[name])),
        h('span', {class: isSet(name) ? '' : 'faint'}, isSet(name) ? place : 'default')]), {class: 'options', rowProps: (index) => ({'data-option': names[index]})}));
}
