// The messages of watched channels on all nodes, live.
import {h, icon} from '../dom.js';
import {FeedList, KEPT} from '../feed.js';
import {count} from '../format.js';
import {WatchPanel} from '../watching.js';

export function messagesPage(app) {
    const {feed, link} = app;
    const redraw = () => {
        matches = patternOf(channel.value.trim());
        list.redraw();
    };
    const channel = h('input', {type: 'search', name: 'channel', placeholder: 'Channel, such as news:*', 'aria-label': 'Channel: a part of its name, or a pattern with *', 'data-filter': true, oninput: redraw});
    const text = h('input', {type: 'search', name: 'text', placeholder: 'Text', 'aria-label': 'Text in the message', oninput: redraw});
    let matches = () => true;
    const accepts = (message) => matches(message.channel) && (!text.value || message.text.includes(text.value));
    const summary = h('p', {class: 'hint', id: 'summary', role: 'status'});
    const watching = new WatchPanel(app);
    const list = new FeedList(feed, accepts, link, update);
    const clear = h('button', {type: 'button', onclick: () => { feed.clear(); list.redraw(); }}, icon('trash'), 'Clear');
    const element = h('div', {class: 'page'}, h('h1', {}, 'Messages'), watching.element,
        h('div', {class: 'row'}, channel, text, list.pauseButton, clear), summary,
        h('div', {class: 'card columned'}, h('div', {class: 'feed-head', 'aria-hidden': 'true'}, ['Time', 'Channel', 'User', 'Data'].map((name) => h('span', {}, name))), list.element));

    function update() {
        const left = feed.missed ? `, and ${count(feed.missed)} more that came too fast to show` : '';
        const filtered = channel.value || text.value ? ` ${count(feed.messages.filter(accepts).length)} of them match.` : '';
        summary.textContent = feed.total
            ? `${count(feed.total)} seen${left}. The last ${KEPT} are kept here.${filtered}`
            : 'Waiting for messages …';
    }

    function connected() {
        update();
        watching.connected();
    }

    update();
    if (app.info) watching.connected();
    return {
        element, connected,
        key: (event) => { if (event.key === 'p') list.pause(); },
        leave() {
            list.destroy();
            watching.destroy();
        },
    };
}

/** Whether a name has this part, or with `*` and `?` in it, matches the whole pattern. */
function patternOf(pattern) {
    if (!/[*?]/.test(pattern)) return (name) => name.includes(pattern);
    const quoted = pattern.replace(/\*+/g, '*').replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
    const expression = new RegExp(`^${quoted}$`, 's');
    return (name) => expression.test(name);
}
