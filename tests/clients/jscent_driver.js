// jscent 0.2.1 at a test's command: node jscent_driver.js URL SECRET
//
// Each command names a method of the client and its arguments: {"do": "call", "method": "publish", "args": [...]}. The
// callback's answer comes as `answer` with `error` (a status) and `body`. `send` takes a list of commands to add first.
'use strict';

const Client = require('jscent');
const {emit, obey} = require('./lines');

const client = new Client({url: process.argv[2], secret: process.argv[3]});

function answer(error, body) {
    emit('answer', {error: error === null ? null : error.statusCode || error.message, body: body});
}

obey({
    call: (command) => client[command.method](...command.args, answer),
    send: (command) => {
        command.commands.forEach((one) => client.add(one.method, one.params));
        client.send(answer);
    },
});
