// The messages of watched channels on all nodes, live.
import {h, icon} from '../dom.js';
import {FeedList, KEPT, pauseButton} from '../feed.js';
import {count} from '../format.js';

export function messagesPage(app) {
    const {feed, link} = app;
    const filter = h('input', {
        type: 'search', placeholder: 'Channel or text', 'aria-label': 'Filter messages', 'data-filter': true, oninput: () => list.redraw(),
    });
    const accepts = (message) => !filter.value || message.channel.includes(filter.value) || message.text.includes(filter.value);
    const summary = h('p', {class: 'hint', id: 'summary'});
    const list = new FeedList(feed, accepts, link, update);
    const pause = pauseButton(list);
    const clear = h('button', {type: 'button', onclick: () => {
        feed.clear();
        list.redraw();
    }}, icon('trash'), 'Clear');
    const element = h('div', {class: 'page'}, h('h1', {}, 'Messages'),
        h('div', {class: 'row'}, filter, pause.button, clear), summary, h('div', {class: 'card'}, list.element));

    function update() {
        pause.update();
        const left = feed.missed ? `, and ${count(feed.missed)} more that came too fast to show` : '';
        summary.textContent = feed.total
            ? `${count(feed.total)} seen${left}. The last ${KEPT} are kept here.`
            : anyWatched(app.info) ? 'Waiting for messages in channels with the option watch …' : 'No channel has the option watch, so none of their messages are shown here.';
    }

    update();
    return {
        element,
        connected: update,
        key: (event) => { if (event.key === 'p') list.pause(!list.paused); },
        leave: () => list.destroy(),
    };
}

function anyWatched(info) {
    return !info || [info.config.channel_options, ...info.config.namespaces].some((options) => options.watch);
}
