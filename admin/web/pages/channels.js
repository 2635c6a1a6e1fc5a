// The channels with subscribers: by subscribers, by messages per second, or by name.
import {Listing} from '../listing.js';

export function channelsPage(app, text) {
    return new Listing(app, {
        title: 'Channels', kind: 'channels', columns: {name: 'Channel', count: 'Subscribers', rate: 'Messages/s'}, text,
        href: (name) => app.link('channel', name), open: (name) => app.go('channel', name),
    });
}
