// How a driver talks with the test that started it: one JSON object a line, commands in and events out.
'use strict';

const readline = require('readline');

function emit(event, details) {
    process.stdout.write(JSON.stringify(Object.assign({event: event}, details)) + '\n');
}

// Calls handlers[command.do](command) for each command. A handler that fails, or is missing, ends the driver loudly.
// The end of the input ends the driver.
function obey(handlers) {
    const input = readline.createInterface({input: process.stdin});
    input.on('line', async (line) => {
        const command = JSON.parse(line);
        await handlers[command.do](command);
    });
    input.on('close', () => process.exit(0));
}

module.exports = {emit, obey};
