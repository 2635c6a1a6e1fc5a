// centrifuge-js 5 in a page of a browser_server.js: node centrifuge5_browser_driver.js '{"url": ..., ...}' ENDPOINT
//
// The page loads the build of the library for browsers, which uses JSON. centrifuge5_client.js has the commands and the
// rest of the configuration.
'use strict';

const fs = require('fs');
const path = require('path');
const {chromium} = require('playwright-core');
const {emit, obey} = require('./lines');
const {ask} = require('./tokens');

const LIBRARY = path.join(path.dirname(require.resolve('centrifuge5')), '..', 'dist', 'centrifuge.js');
const COMMANDS = [
    'connect', 'disconnect', 'subscribe', 'unsubscribe', 'publish', 'presence', 'presence_stats', 'history',
];

async function main() {
    const browser = await chromium.connect(process.argv[3]);
    const page = await browser.newPage();
    page.on('pageerror', (error) => emit('page_error', {text: String(error)}));
    await page.exposeFunction('emit', emit);
    await page.exposeFunction('ask', ask);
    await page.addScriptTag({content: fs.readFileSync(LIBRARY, 'utf-8')});
    await page.addScriptTag({content: fs.readFileSync(path.join(__dirname, 'centrifuge5_client.js'), 'utf-8')});
    await page.evaluate((configuration) => {
        const unchanged = (data) => data;
        window.handlers = driveCentrifuge({
            Centrifuge, configuration, emit: window.emit, ask: window.ask, encode: unchanged, decode: unchanged,
        });
    }, JSON.parse(process.argv[2]));

    const run = (command) => page.evaluate((given) => { window.handlers[given.do](given); }, command);
    obey(Object.fromEntries(COMMANDS.map((name) => [name, run])));
    emit('ready', {version: browser.version()});
}

main();
