// A headless Chromium for several drivers, each with a page of its own: node browser_server.js /path/to/chromium
//
// Says at which `endpoint` it listens. The end of the input ends it.
'use strict';

const {chromium} = require('playwright-core');
const {emit, obey} = require('./lines');

const ARGUMENTS = [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--no-first-run',
];

async function main() {
    const server = await chromium.launchServer({
        executablePath: process.argv[2], headless: true, args: ARGUMENTS, host: '127.0.0.1',
    });
    process.on('exit', () => server.kill());
    obey({});
    emit('ready', {endpoint: server.wsEndpoint()});
}

main();
