// All nodes, with their metrics and plots.
import {fill, h, scrollCard} from '../dom.js';
import {bytes, count, duration, microseconds, percent, rate} from '../format.js';
import {WINDOWS} from '../live.js';
import {nodeDetails} from '../node_details.js';
import {Plot} from '../plot.js';

export function statusPage(app) {
    const {live, socket} = app, {series} = live;
    const sum = (title, names, format = count) => new Plot(title, () => live.times,
        () => names.map(([label, name]) => ({label, values: series[name] ?? []})), format, {figure: 'first'});
    const perNode = (title, name, format, options) => new Plot(title, () => live.times,
        () => [...live.byNode.values()].slice(0, 8).map((node) => ({label: node.name, values: node.lists[name] ?? []})), format, options);
    const latency = (title, api) => new Plot(title, () => live.times, () => ['50%ile', '90%ile', '99%ile'].map(
        (name) => ({label: name.replace('%ile', ' %'), values: series[`${api}_${name}`] ?? []})), microseconds, {figure: 'highest'});
    const plots = [
        perNode('Clients', 'clients', count, {stacked: true}),
        sum('Channels', [['channels', 'channels']]),
        sum('Messages published, per second', [['published', 'published']], rate),
        sum('Frames sent to clients, per second', [['sent', 'sent']], rate),
        latency('HTTP API latency', 'http_api'),
        latency('Client request latency', 'client_api'),
        perNode('CPU, of one core', 'cpu', percent, {figure: 'highest'}),
        perNode('Memory', 'memory', bytes, {figure: 'highest'}),
    ];
    const tiles = h('dl', {class: 'tiles'});
    const sums = h('p', {class: 'hint', id: 'sums'});
    const rows = h('tbody');
    const table = scrollCard('Nodes', h('table', {class: 'nodes'},
        h('thead', {}, h('tr', {}, ['Node', 'Up', 'Clients', 'Users', 'Channels', 'Messages/s', 'API 99 %', 'CPU', 'Memory']
            .map((title, index) => h('th', {class: index ? 'number' : '', scope: 'col'}, title)))), rows));
    const details = nodeDetails(app);
    const windows = h('fieldset', {class: 'choices windows'}, h('legend', {}, 'Time that the plots show'),
        Object.entries(WINDOWS).map(([seconds, label]) => h('label', {class: 'choice'},
            h('input', {type: 'radio', name: 'window', value: seconds, checked: Number(seconds) === live.window, onchange: () => live.show(Number(seconds))}), label)));
    const element = h('div', {class: 'page'}, h('h1', {}, 'Status'), tiles, sums, h('h2', {}, 'Nodes'), table, details.element,
        windows, h('div', {class: 'plots'}, plots.map((plot) => plot.element)));

    const update = () => {
        const last = (name) => series[name]?.at(-1) ?? null;
        fill(tiles, [
            ['Nodes', count(live.nodes.filter((node) => node.answers).length)], ['Clients', count(last('clients'))], ['Channels', count(last('channels'))],
            ['Published/s', count(last('published'))], ['API requests/s', count(last('requests'))],
        ].map(([name, value]) => h('div', {class: 'tile', 'data-tile': name}, h('dt', {}, name, live.onlyNode && name !== 'Nodes' && ` (${live.onlyNode} only)`), h('dd', {}, value))));
        const {length} = live.nodes.filter((node) => node.answers);
        sums.hidden = length < 2;
        sums.textContent = `Sums over ${length} nodes. A user or a channel on several nodes counts on each of them; the pages Users and Channels show it once.`;
        fill(rows, live.nodes.length ? live.nodes.map(nodeRow) : h('tr', {}, h('td', {colspan: 9, class: 'hint'}, 'Waiting for the nodes …')));
        details.update();
        if (live.times.length) plots.forEach((plot) => plot.update());
    };
    live.addEventListener('change', update);
    socket.addEventListener('state', update);
    update();
    return {
        element,
        connected: details.connected,
        leave() {
            details.leave();
            live.removeEventListener('change', update);
            socket.removeEventListener('state', update);
            plots.forEach((plot) => plot.destroy());
        },
    };
}

function nodeRow(node) {
    const cells = [duration(node.uptime), count(node.clients), count(node.users), count(node.channels),
        node.published === null ? '–' : count(node.published), microseconds(node.latency.http_api[2]), percent(node.cpu), bytes(node.memory)];
    return h('tr', {class: node.answers ? '' : 'silent', 'data-node': node.name},
        h('th', {scope: 'row', title: node.uid}, node.name, !node.answers && h('span', {class: 'badge warn'}, 'does not answer')),
        cells.map((cell) => h('td', {class: 'number'}, cell)));
}
