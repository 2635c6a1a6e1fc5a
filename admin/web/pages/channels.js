// The channels with subscribers: by subscribers, by messages per second, or by name.
import {h} from '../dom.js';
import {Listing} from '../listing.js';

export function channelsPage(app, text) {
    const listing = new Listing(app, {
        kind: 'channels', columns: {name: 'Channel', count: 'Subscribers', rate: 'Messages/s'}, text,
        href: (name) => app.link('channel', name), open: (name) => app.go('channel', name),
    });
    listing.load();
    return {element: h('div', {class: 'page'}, h('h1', {}, 'Channels'), listing.element), connected: () => listing.load(), leave: () => listing.leave()};
}
