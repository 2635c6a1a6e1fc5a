// All nodes, with their metrics and plots.
import {fill, h, refill, scrollCard, table} from '../dom.js';
import {bytes, count, duration, microseconds, percent, time} from '../format.js';
import {nodeDetails} from '../node_details.js';
import {Plot} from '../plot.js';
import {windowChoice} from '../windows.js';

export function statusPage(app) {
    const {live} = app, {samples} = live;
    const sum = (title, name, format = count) => new Plot(title, () => samples.times, () => [{label: name, values: samples.combined(name)}], format);
    const perNode = (title, name, format, options) => new Plot(title, () => samples.times,
        () => [...samples.byNode.values()].slice(0, 8).map((node) => ({label: node.name, values: node.lists[name] ?? []})), format, options);
    const latency = (title, api) => new Plot(title, () => samples.times, () => ['50%ile', '90%ile', '99%ile'].map(
        (name) => ({label: name.replace('%ile', ' %'), values: samples.combined(`${api}_${name}`, Math.max)})), microseconds, {figure: 'highest'});
    const plots = [
        perNode('Clients', 'clients', count, {stacked: true}),
        sum('Channels', 'channels'),
        sum('Messages published, per second', 'published'),
        sum('Frames sent to clients, per second', 'sent'),
        latency('HTTP API latency', 'http_api'),
        latency('Client request latency', 'client_api'),
        perNode('CPU, of one core', 'cpu', percent, {figure: 'highest'}),
        perNode('Memory', 'memory', bytes, {figure: 'highest'}),
    ];
    const tiles = h('dl', {class: 'tiles'});
    const sums = h('p', {class: 'hint', id: 'sums'});
    const nodes = scrollCard('Nodes', null);
    const details = nodeDetails(app);
    const element = h('div', {class: 'page'}, h('h1', {}, 'Status'), tiles, sums, h('h2', {}, 'Nodes'), nodes, details.element,
        windowChoice(() => live.poll()), h('div', {class: 'plots'}, plots.map((plot) => plot.element)));

    const update = () => {
        const last = (name) => samples.combined(name).at(-1), {length} = live.nodes.filter(({silentSince}) => !silentSince);
        fill(tiles, [
            ['Nodes', count(length)], ['Clients', count(last('clients'))], ['Channels', count(last('channels'))],
            ['Published/s', count(last('published'))], ['API requests/s', count(last('requests'))],
        ].map(([name, value]) => h('div', {class: 'tile', 'data-tile': name}, h('dt', {}, name, live.partial && name !== 'Nodes' && ` (${live.partial})`), h('dd', {}, value))));
        sums.hidden = length < 2;
        sums.textContent = `Sums over ${length} nodes. A user or a channel on several nodes counts on each of them; the pages Users and Channels show it once.`;
        refill(nodes, live.nodes.length ? nodeTable(live.nodes) : h('p', {class: 'hint'}, 'Waiting for the nodes …'));
        details.update();
        if (samples.times.length) plots.forEach((plot) => plot.update());
    };
    live.addEventListener('change', update);
    update();
    return {
        element,
        connected: details.connected,
        leave() {
            details.leave();
            live.removeEventListener('change', update);
            plots.forEach((plot) => plot.destroy());
        },
    };
}

function nodeTable(nodes) {
    return table(['Node', 'Up', 'Clients', 'Users', 'Channels', 'Messages/s', 'API 99 %', 'CPU', 'Memory'], nodes.map((node) => [
        [h('span', {title: node.uid}, node.name), node.silentSince && h('span', {class: 'badge warn'}, `silent since ${time(new Date(1000 * node.silentSince))}`)],
        duration(node.uptime), count(node.clients), count(node.users), count(node.channels), count(node.published),
        microseconds(node['http_api_99%ile']), percent(node.cpu), bytes(node.memory),
    ]), {numbers: 1, class: 'nodes', rowProps: (index) => ({class: nodes[index].silentSince ? 'silent' : '', 'data-node': nodes[index].name})});
}
