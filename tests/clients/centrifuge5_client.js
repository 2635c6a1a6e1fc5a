// What a test can do with centrifuge-js 5, in Node and in a browser alike: centrifuge5_driver.js and
// centrifuge5_browser_driver.js load this file.
//
// `options` are those of the Centrifuge object. With `tokens` in the configuration the library asks that address for a
// new token of the connection, and with `channelTokens` for tokens of channels. Commands: connect, disconnect, subscribe
// (with `channel` and the `options` of the subscription), delta_stats, unsubscribe, publish, rpc (with `method`), presence,
// presence_stats and history (with `options`). Events are named like those of the library, and their fields like those of the protocol.
'use strict';

function driveCentrifuge({Centrifuge, configuration, emit, ask, encode, decode}) {
    const info = (client) => client && {
        user: client.user, client: client.client, conn_info: decode(client.connInfo), chan_info: decode(client.chanInfo),
    };
    const publication = (message) => ({
        data: decode(message.data), offset: message.offset, info: info(message.info), tags: message.tags,
    });

    const options = Object.assign({}, configuration.options);
    if (configuration.tokens) {
        options.getToken = () => ask(configuration.tokens, {});
    }
    if (options.data !== undefined) {
        options.data = encode(options.data);
    }
    const centrifuge = new Centrifuge(configuration.url, options);
    centrifuge.on('connecting', ({code, reason}) => emit('connecting', {code, reason}));
    centrifuge.on('connected', ({client, transport, data}) => emit('connected', {client, transport, data: decode(data)}));
    centrifuge.on('disconnected', ({code, reason}) => emit('disconnected', {code, reason}));
    centrifuge.on('error', ({type, error}) => emit('error', {type, code: error.code, message: error.message}));
    centrifuge.on('subscribed', ({channel, recovered}) => emit('server_subscribed', {channel, recovered}));
    centrifuge.on('unsubscribed', ({channel}) => emit('server_unsubscribed', {channel}));
    centrifuge.on('publication', (message) => emit(
        'server_publication', Object.assign({channel: message.channel}, publication(message)),
    ));

    function subscribe({channel, options = {}}) {
        let subscription = centrifuge.getSubscription(channel);
        if (subscription === null) {
            subscription = centrifuge.newSubscription(channel, Object.assign(options, configuration.channelTokens && {
                getToken: () => ask(configuration.channelTokens, {channel}),
            }));
            subscription.on('subscribing', ({code, reason}) => emit('subscribing', {channel, code, reason}));
            subscription.on('subscribed', ({wasRecovering, recovered, recoverable, positioned, data}) => emit(
                'subscribed',
                {channel, was_recovering: wasRecovering, recovered, recoverable, positioned, data: decode(data)},
            ));
            subscription.on('unsubscribed', ({code, reason}) => emit('unsubscribed', {channel, code, reason}));
            subscription.on('error', ({type, error}) => emit(
                'subscription_error', {channel, type, code: error.code, message: error.message},
            ));
            subscription.on('publication', (message) => emit(
                'publication', Object.assign({channel}, publication(message)),
            ));
            subscription.on('join', (message) => emit('join', {channel, info: info(message.info)}));
            subscription.on('leave', (message) => emit('leave', {channel, info: info(message.info)}));
        }
        subscription.subscribe();
    }

    function report(method, promise, shown) {
        promise.then(
            (result) => emit('done', {method, result: shown(result)}),
            ({code, message}) => emit('failed', {method, code, message}),
        );
    }

    return {
        connect: () => centrifuge.connect(),
        disconnect: () => centrifuge.disconnect(),
        subscribe,
        delta_stats: ({channel}) => {
            const {numFullPayloads, numDeltaPayloads} = centrifuge.getSubscription(channel).deltaStats();
            emit('delta_stats', {full: numFullPayloads, patches: numDeltaPayloads});
        },
        unsubscribe: ({channel}) => centrifuge.getSubscription(channel).unsubscribe(),
        publish: ({channel, data}) => report('publish', centrifuge.publish(channel, encode(data)), () => null),
        rpc: ({method, data}) => report('rpc', centrifuge.rpc(method, encode(data)), (result) => decode(result.data)),
        presence: ({channel}) => report('presence', centrifuge.presence(channel), ({clients}) => (
            Object.fromEntries(Object.entries(clients).map(([id, client]) => [id, info(client)]))
        )),
        presence_stats: ({channel}) => report('presence_stats', centrifuge.presenceStats(channel), (result) => (
            {num_clients: result.numClients, num_users: result.numUsers}
        )),
        history: ({channel, options}) => report('history', centrifuge.history(channel, options), (result) => (
            {publications: result.publications.map(publication), offset: result.offset, epoch: result.epoch}
        )),
    };
}

if (typeof module !== 'undefined') {
    module.exports = {driveCentrifuge};
}
