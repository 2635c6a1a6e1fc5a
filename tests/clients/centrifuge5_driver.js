// centrifuge-js 5 in Node, at a test's command: node centrifuge5_driver.js '{"url": ..., "format": ..., "options": ...}'
//
// `format` is json or protobuf. centrifuge5_client.js has the commands and the rest of the configuration.
'use strict';

const WebSocket = require('ws');
const {driveCentrifuge} = require('./centrifuge5_client');
const {emit, obey} = require('./lines');
const {ask} = require('./tokens');

const configuration = JSON.parse(process.argv[2]);
configuration.options = Object.assign({websocket: WebSocket}, configuration.options);
const isBinary = configuration.format === 'protobuf';
const {Centrifuge} = isBinary ? require('centrifuge5/build/protobuf') : require('centrifuge5');

// Payloads are bytes for the library when it uses Protobuf; those of the tests are JSON all the same.
function decode(data) {
    if (!isBinary) {
        return data;
    }
    return data && data.length ? JSON.parse(new TextDecoder().decode(data)) : undefined;
}

function encode(data) {
    return isBinary ? new TextEncoder().encode(JSON.stringify(data)) : data;
}

obey(driveCentrifuge({Centrifuge, configuration, emit, ask, encode, decode}));
