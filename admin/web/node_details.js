// Version, engine and age of each node, how it reaches the servers of its engine, and the options that differ.
import {fill, h, refill, scrollCard, table} from './dom.js';
import {count, duration, microseconds, time} from './format.js';
import {plain, stringify} from './json.js';
import {polling} from './polling.js';

const INTERVAL = 15000;

/** The card; it is open from the beginning if options or versions differ. */
export function nodeDetails({socket, live}) {
    let isFirst = true;
    const body = h('div', {class: 'page'}), servers = scrollCard('Servers of the engine', null, {hidden: true});
    const summary = h('summary', {}, 'Versions, engine and options of the nodes');
    const element = h('details', {class: 'more'}, summary, h('div', {class: 'page'}, servers, body));

    const {again, stop} = polling(async (isWanted) => {
        const found = await socket.call('node_details').catch(() => null);
        if (found && isWanted()) show(plain(found.data));
    }, INTERVAL);

    function show({nodes, different}) {
        const versions = new Set(nodes.map(({version}) => version)), names = Object.keys(different);
        const problems = [versions.size > 1 && 'different versions', names.length === 1 && 'one option differs', names.length > 1 && `${names.length} options differ`].filter(Boolean);
        fill(summary, 'Versions, engine and options of the nodes', h('span', {class: problems.length ? 'badge warn' : 'badge'}, problems.join(', ') || 'all the same'));
        if (isFirst) element.open = problems.length > 0;
        isFirst = false;
        const ago = (seconds) => `${time(new Date(1000 * seconds))}, ${duration(Date.now() / 1000 - seconds)} ago`;
        const shown = (value) => h('code', {}, typeof value === 'string' ? value : stringify(value));
        refill(body, scrollCard('Nodes in detail', table(['Node', 'Version', 'Engine', 'Started', 'Options loaded'], nodes.map((node) => [node.name, node.version, node.engine, ago(node.started_at), ago(node.loaded_at)]))),
            names.length > 0 && scrollCard('Options that differ', table(['Option that differs', ...nodes.map(({name}) => name)], names.map((name) => [h('code', {}, name), ...nodes.map(({uid}) => shown(different[name][uid] ?? 'not known'))]))));
    }

    function update() {
        servers.hidden = !live.servers.length;
        refill(servers, table(['Node', 'Server', 'State', 'Round trip', 'Waiting', 'Reconnects', 'Last error'], live.servers.map((one) => [
            one.node, one.name, `${one.reachable ? 'reachable' : 'not reachable'} since ${time(new Date(1000 * one.since))}`,
            microseconds(1e6 * one.round_trip), count(one.waiting), count(Object.values(one.reconnects).reduce((sum, value) => sum + value, 0)), one.error && `${time(new Date(1000 * one.error_at))} ${one.error}`])));
    }

    again();
    return {element, update, connected: again, leave: stop};
}
