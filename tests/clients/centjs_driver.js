// cent.js 6.1, the Node library for the API of later versions, at a test's command: node centjs_driver.js URL KEY
//
// Each command names a method of the client and its parameters: {"do": "call", "method": "publish", "params": {...}}.
// The outcome comes as `answer` with `result` or `error`.
'use strict';

const {CentClient} = require('cent.js');
const {emit, obey} = require('./lines');

const client = new CentClient({url: process.argv[2] + '/api', apiKey: process.argv[3]});

obey({
    call: (command) =>
        client[command.method](command.params).then(
            (result) => emit('answer', {result: result, error: null}),
            (error) => emit('answer', {result: null, error: String(error)}),
        ),
});
