// The channels with subscribers, those with the most subscribers first.
import {fill, h, scrollCard} from '../dom.js';
import {count} from '../format.js';

const INTERVAL = 3000;
const MAX_CHANNELS = 1000;

export function channelsPage(app, argument) {
    const {socket, link, go} = app;
    let timer = 0;
    const filter = h('input', {
        type: 'search', placeholder: 'Part of a name', 'aria-label': 'Filter channels', 'data-filter': true, value: argument,
        oninput: () => load(),
    });
    const open = h('form', {class: 'row', onsubmit: (event) => {
        event.preventDefault();
        if (filter.value) go('channel', filter.value);
    }}, filter, h('button', {}, 'Open'));
    const summary = h('p', {class: 'hint', role: 'status'});
    const rows = h('tbody');
    const element = h('div', {class: 'page'}, h('h1', {}, 'Channels'), open, summary,
        scrollCard('Channels', h('table', {},
            h('thead', {}, h('tr', {}, h('th', {scope: 'col'}, 'Channel'), h('th', {scope: 'col', class: 'number'}, 'Subscribers'))), rows)));

    async function load() {
        clearTimeout(timer);
        const asked = filter.value;
        try {
            const counts = Object.entries((await socket.call('subscribers', {channel: asked})).data);
            if (asked !== filter.value || !element.isConnected) return;
            show(counts.sort(([one, ones], [other, others]) => others - ones || one.localeCompare(other)));
        } catch { /* the state of the connection stands above */ }
        timer = setTimeout(load, INTERVAL);
    }

    function show(counts) {
        const most = counts.length ? counts[0][1] : 1;
        summary.textContent = counts.length >= MAX_CHANNELS ? `The ${count(MAX_CHANNELS)} busiest; filter to see others.`
            : `${count(counts.length)} ${counts.length === 1 ? 'channel' : 'channels'} with subscribers${filter.value ? ' match' : ''}.`;
        fill(rows, counts.map(([channel, subscribers]) => h('tr', {},
            h('td', {}, h('a', {href: link('channel', channel)}, channel)),
            h('td', {class: 'number'}, h('meter', {min: 0, max: most, value: subscribers, 'aria-hidden': 'true'}), h('span', {}, count(subscribers))))));
        if (!counts.length) fill(rows, h('tr', {}, h('td', {colspan: 2, class: 'hint'}, 'No channel matches. Press Enter to open the channel with this name.')));
    }

    load();
    return {element, connected: load, leave: () => clearTimeout(timer)};
}
