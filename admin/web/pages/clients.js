// What kinds of clients are connected, which of them are slow, and why others were closed.
import {fill, h, refill, scrollCard, table} from '../dom.js';
import {bytes, count, time} from '../format.js';
import {plain} from '../json.js';
import {Plot} from '../plot.js';
import {polling} from '../polling.js';
import {Samples} from '../samples.js';
import {shownTime, windowChoice} from '../windows.js';

const MAX_LINES = 8;

export function clientsPage({socket, link}) {
    const {again, stop} = polling(load);
    const known = []; // closed connections since the start, as they were in the last minute
    const samples = new Samples(socket, {about: 'clients'});
    const stack = (title, beginning, scale = 1) => new Plot(title, () => samples.times,
        () => samples.figures(beginning).slice(0, MAX_LINES).map((label) => ({label, values: samples.combined(beginning + label).map((value) => (value === null ? null : value * scale))})), count, {stacked: true});
    const plots = [
        stack('Clients by transport', 'transports/'), stack('Clients by protocol', 'protocols/'),
        stack('Closed connections, per minute', 'closed/', 60),
        new Plot('Bytes that wait for slow clients', () => samples.times, () => [{label: 'bytes', values: samples.combined('waiting/bytes')}], bytes),
    ];
    const kinds = h('div', {class: 'kinds'});
    const [reasons, waiting, closed] = [h('div'), h('div'), h('div')];
    const element = h('div', {class: 'page'}, h('h1', {}, 'Clients'), kinds, windowChoice(again), h('div', {class: 'plots'}, plots.map((plot) => plot.element)),
        h('div', {class: 'columns'}, h('section', {}, h('h2', {}, 'Why connections were closed'), reasons), h('section', {}, h('h2', {}, 'Slow clients, with waiting bytes'), waiting)),
        h('section', {}, h('h2', {}, 'Closed by the server'), closed));

    async function load(isWanted) {
        const [found, now] = await Promise.all([socket.call('clients'), samples.load(shownTime())]).catch(() => []);
        if (found && isWanted()) show(plain(found.data), now);
    }

    function show(data, now) {
        fill(kinds, [['Transports', 'Transport', data.transports], ['Protocols', 'Protocol', data.protocols], ['Client libraries', 'Library', data.libraries]].map(([title, name, counts]) => h('section', {}, h('h2', {}, title), counted(title, name, counts, 'Clients'))));
        fill(reasons, counted('Reasons', 'Reason', data.closed, 'Since the start'));
        refill(waiting, data.waiting.length ? scrollCard('Slow clients', table(['User', 'Client', 'Waiting', 'Address', 'Protocol', 'Node'], data.waiting.map((one) => [userLink(one), h('code', {}, one.client), bytes(one.waiting), one.address, one.protocol, one.node]))) : h('p', {class: 'hint'}, 'None.'));
        refill(closed, data.last_closed.length ? scrollCard('Closed by the server', table(['Time', 'User', 'Reason', 'Unsent', 'Address', 'Protocol', 'Node'], data.last_closed.map((one) => [time(new Date(1000 * one.at)), userLink(one), one.reason, one.unsent ? bytes(one.unsent) : '', one.address, one.protocol, one.node]))) : h('p', {class: 'hint'}, 'None yet.'));
        samples.addPresent(now, samples.nodes.map(({uid, name}, index) => ({uid, name, ...index ? {} : {...totals(data), ...rates(now, data)}})));
        plots.forEach((plot) => plot.update());
    }

    /** What the tables show, as figures of one node. */
    function totals({transports, protocols, waiting_bytes: bytesWaiting}) {
        const kinds = (beginning, counts) => [...samples.figures(beginning), ...Object.keys(counts)].map((name) => [beginning + name, counts[name] ?? 0]);
        return {...Object.fromEntries([...kinds('transports/', transports), ...kinds('protocols/', protocols)]), 'waiting/bytes': bytesWaiting};
    }

    /** What was closed in the last minute, as far as the page was open, per second. */
    function rates(now, {closed, nodes}) {
        if (known.at(-1)?.nodes !== nodes) known.length = 0; // their sums cannot be compared
        known.push({at: now, closed, nodes});
        while (known[0].at < now - 60) known.shift();
        const before = known[0].closed;
        return Object.fromEntries(Object.entries(closed).map(([reason, number]) => [`closed/${reason}`, Math.max(0, number - (before[reason] ?? 0)) / 60]));
    }

    const userLink = ({user}) => h('a', {href: link('users', user)}, user || 'anonymous');
    again();
    return {element, connected: again, leave() {
        stop();
        plots.forEach((plot) => plot.destroy());
    }};
}

function counted(title, name, counts, number) {
    const entries = Object.entries(counts);
    const most = Math.max(1, ...Object.values(counts));
    return entries.length ? scrollCard(title, table([name, number], entries.map(([key, value]) => [key || 'not told', [h('meter', {min: 0, max: most, value, 'aria-hidden': 'true'}), h('span', {}, count(value))]]))) : h('p', {class: 'hint'}, 'None.');
}
