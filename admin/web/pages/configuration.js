// The current options. The server hides secrets.
import {fill, h, scrollCard, table} from '../dom.js';
import {stringify} from '../json.js';

const HIDDEN = '********';
const APART = new Set(['namespaces', 'channel_options']);

export function configurationPage(app) {
    const filter = h('input', {type: 'search', placeholder: 'Option', 'aria-label': 'Filter options', 'data-filter': true, oninput: show});
    const body = h('div', {class: 'page'});
    const element = h('div', {class: 'page'}, h('h1', {}, 'Options'), h('div', {class: 'row'}, filter), body);

    function show() {
        if (!app.info) return;
        const {version, engine, config} = app.info;
        const names = Object.keys(config.channel_options);
        const matches = (name) => name.includes(filter.value.trim());
        const others = Object.keys(config).filter((name) => !APART.has(name) && !names.includes(name) && matches(name));
        fill(body,
            h('dl', {class: 'tiles'}, [['Version', version], ['Engine', engine], ['Node', config.name]]
                .map(([name, value]) => h('div', {class: 'tile'}, h('dt', {}, name), h('dd', {}, value)))),
            !names.some(matches) && !others.length && h('p', {class: 'hint'}, 'No option matches.'),
            h('h2', {}, 'Channels'), scrollCard('Options of channels', channelTable(config, names.filter(matches))),
            h('h2', {}, 'All other options'), scrollCard('All other options', table(['Option', 'Value'],
                others.map((name) => [h('code', {}, name), value(config[name])]), {class: 'options', rowProps: (index) => ({'data-option': others[index]})})));
    }

    show();
    return {element, connected: show};
}

function channelTable(config, names) {
    const columns = [['without namespace', config.channel_options], ...config.namespaces.map((namespace) => [namespace.name, namespace])];
    return table(['Option', ...columns.map(([title]) => title)], names.map((name) => [h('code', {}, name), ...columns.map(([, options]) => value(options[name]))]));
}

function value(thing) {
    if (thing === HIDDEN) return h('span', {class: 'badge'}, 'set, hidden');
    if (thing === '') return h('span', {class: 'faint'}, 'empty');
    if (typeof thing === 'boolean') return h('span', {class: thing ? 'on' : 'faint'}, thing ? 'on' : 'off');
    return h('code', {}, typeof thing === 'string' ? thing : stringify(thing));
}
