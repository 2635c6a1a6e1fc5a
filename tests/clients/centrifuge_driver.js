// centrifuge-js 1.5.0 in Node, at a test's command: node centrifuge_driver.js '{"url": ..., "user": ..., ...}'
//
// The argument is the configuration of the Centrifuge object; a url that begins with http is one for SockJS. Commands: connect (with `options` that change the
// configuration), disconnect, subscribe, unsubscribe, publish, presence, history (each with `channel`), and batch with
// `commands` to run within batching. Events carry what
// the callbacks of centrifuge-js were given; the promise of publish, presence and history ends in `done` or `failed`.
'use strict';

const WebSocket = require('ws');
const {emit, obey} = require('./lines');

// What centrifuge-js takes from a browser. It asks an application's endpoints through XMLHttpRequest.
global.WebSocket = WebSocket;
global.XMLHttpRequest = class {
    constructor() {
        this.readyState = 0;
        this.headers = {};
    }

    open(method, url) {
        this.method = method;
        this.url = url;
    }

    setRequestHeader(name, value) {
        this.headers[name] = value;
    }

    async send(body) {
        const response = await fetch(this.url, {method: this.method, headers: this.headers, body: body});
        this.status = response.status;
        this.responseText = await response.text();
        this.readyState = 4;
        this.onreadystatechange();
    }
};

const Centrifuge = require('centrifuge');

const subscriptions = {};
const configuration = JSON.parse(process.argv[2]);
if (configuration.url.startsWith('http')) {
    configuration.sockJS = require('sockjs-client');
}

const centrifuge = new Centrifuge(Object.assign(configuration, {
    onTransportClose: (context) => emit('closed', {
        code: context.event.code, reason: context.reason, reconnect: context.reconnect,
    }),
}));
centrifuge.on('connect', (context) => emit('connect', context));
centrifuge.on('disconnect', (context) => emit('disconnect', context));
centrifuge.on('error', (context) => emit('error', context));

function subscribe(channel) {
    const subscription = centrifuge.subscribe(channel);
    if (channel in subscriptions) {
        return;
    }
    subscriptions[channel] = subscription;
    subscription.on('message', (message) => emit('message', message));
    subscription.on('join', (message) => emit('join', message));
    subscription.on('leave', (message) => emit('leave', message));
    subscription.on('subscribe', (context) => emit('subscribe', context));
    subscription.on('unsubscribe', (context) => emit('unsubscribe', context));
    subscription.on('error', (context) => emit('subscribe_error', context));
}

function report(method, channel, promise) {
    promise.then(
        (body) => emit('done', {method: method, channel: channel, body: body}),
        (error) => emit('failed', {method: method, channel: channel, error: error.error, advice: error.advice}),
    );
}

const handlers = {
    connect: (command) => {
        centrifuge.configure(command.options || {});
        centrifuge.connect();
    },
    disconnect: () => centrifuge.disconnect(),
    subscribe: (command) => subscribe(command.channel),
    unsubscribe: (command) => subscriptions[command.channel].unsubscribe(),
    publish: (command) => report('publish', command.channel, subscriptions[command.channel].publish(command.data)),
    presence: (command) => report('presence', command.channel, subscriptions[command.channel].presence()),
    history: (command) => report('history', command.channel, subscriptions[command.channel].history()),
    batch: (command) => {
        centrifuge.startBatching();
        centrifuge.startAuthBatching();
        command.commands.forEach((one) => handlers[one.do](one));
        centrifuge.stopAuthBatching();
        centrifuge.stopBatching(true);
    },
};
obey(handlers);
