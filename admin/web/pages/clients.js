// What kinds of clients are connected, which of them are slow, and why others were closed.
import {fill, h, scrollCard, table} from '../dom.js';
import {bytes, count, rate, time} from '../format.js';
import {plain} from '../json.js';
import {Plot} from '../plot.js';

const INTERVAL = 3000, POINTS = 1200, MAX_LINES = 8;

export function clientsPage({socket, link}) {
    let timer = 0, before = null;
    const times = [], lines = new Map(); // lines by reason, as long as `times`
    const plot = new Plot('Closed connections, per minute', () => times, () => [...lines].slice(0, MAX_LINES).map(([label, values]) => ({label, values})), rate, {stacked: true});
    const kinds = h('div', {class: 'kinds'});
    const [reasons, waiting, closed] = [h('div'), h('div'), h('div')];
    const element = h('div', {class: 'page'}, h('h1', {}, 'Clients'), kinds,
        h('div', {class: 'columns'}, h('section', {}, h('h2', {}, 'Why connections were closed'), reasons), h('section', {}, h('h2', {}, 'Over time'), plot.element)),
        h('section', {}, h('h2', {}, 'Slow clients, with waiting bytes'), waiting), h('section', {}, h('h2', {}, 'Closed by the server'), closed));

    async function load() {
        clearTimeout(timer);
        const found = await socket.call('clients').catch(() => null);
        if (!element.isConnected) return;
        timer = setTimeout(load, INTERVAL);
        if (found) show(plain(found.data));
    }

    function show(data) {
        fill(kinds, [['Transports', 'Transport', data.transports], ['Protocols', 'Protocol', data.protocols], ['Client libraries', 'Library', data.libraries]].map(([title, name, counts]) => h('section', {}, h('h2', {}, title), counted(title, name, counts, 'Clients'))));
        fill(reasons, counted('Reasons', 'Reason', data.closed, 'Since the start'));
        fill(waiting, data.waiting.length ? scrollCard('Slow clients', table(['User', 'Client', 'Waiting', 'Address', 'Protocol', 'Node'], data.waiting.map((one) => [userLink(one), h('code', {}, one.client), bytes(one.waiting), one.address, one.protocol, one.node]))) : h('p', {class: 'hint'}, 'None.'));
        fill(closed, data.last_closed.length ? scrollCard('Closed by the server', table(['Time', 'User', 'Reason', 'Unsent', 'Address', 'Protocol', 'Node'], data.last_closed.map((one) => [time(new Date(1000 * one.at)), userLink(one), one.reason, one.unsent ? bytes(one.unsent) : '', one.address, one.protocol, one.node]))) : h('p', {class: 'hint'}, 'None yet.'));
        append(data);
        plot.update();
    }

    /** Add how many were closed since the last answer, if as many nodes answered it; a node that has restarted begins at 0. */
    function append({closed: totals, nodes}) {
        const now = Date.now() / 1000;
        if (before) {
            for (const reason of Object.keys(totals)) if (!lines.has(reason)) lines.set(reason, times.map(() => 0));
            times.push(now);
            lines.forEach((values, reason) => values.push(nodes === before.nodes ? Math.max(0, (totals[reason] ?? 0) - (before.totals[reason] ?? 0)) * 60 / (now - before.now) : null));
            if (times.length > POINTS) [times, ...lines.values()].forEach((values) => values.shift());
        }
        before = {now, totals, nodes};
    }

    const userLink = ({user}) => h('a', {href: link('users', user)}, user || 'anonymous');
    load();
    return {element, connected: load, leave() {
        clearTimeout(timer);
        plot.destroy();
    }};
}

function counted(title, name, counts, number) {
    const entries = Object.entries(counts);
    const most = Math.max(1, ...Object.values(counts));
    return entries.length ? scrollCard(title, table([name, number], entries.map(([key, value]) => [key || 'not told', [h('meter', {min: 0, max: most, value, 'aria-hidden': 'true'}), h('span', {}, count(value))]]))) : h('p', {class: 'hint'}, 'None.');
}
