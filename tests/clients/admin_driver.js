// A headless Chromium for one operator at a test's command: node admin_driver.js /path/to/chromium
//
// Each command runs one function of the page's Playwright API: `do` is its name, `arguments` are given to it, and what
// it returns comes as `value`, or what it fails with as `failure`. Beside those there are `open` (a page of its own,
// with `options` of a browser context), `pages_log` (what the page has logged or failed at), `press`, `mouse` (an action
// of Playwright's Mouse), `axe` (what axe-core has to say about the page), and `emulateMedia`.
'use strict';

const fs = require('fs');

const {chromium} = require('playwright-core');
const {emit, obey} = require('./lines');

const ARGUMENTS = [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--no-first-run', '--font-render-hinting=none',
];

async function main() {
    const browser = await chromium.launch({executablePath: process.argv[2], headless: true, args: ARGUMENTS});
    let page = await browser.newPage();
    let log = [];
    process.on('exit', () => browser.close());

    async function open({url, options = {}}) {
        await page.context().close();
        log = [];
        const context = await browser.newContext({viewport: {width: 1280, height: 800}, ...options});
        page = await context.newPage();
        page.setDefaultTimeout(8000);
        page.on('console', (message) => log.push(`${message.type()}: ${message.text()}`));
        page.on('pageerror', (error) => log.push(`error: ${error}`));
        await page.goto(url);
    }

    const special = {
        open,
        pages_log: () => log,
        press: ({keys}) => page.keyboard.press(keys),
        mouse: ({arguments: [action, ...place]}) => page.mouse[action](...place),
        axe: async () => {
            await page.evaluate(fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
            return page.evaluate(() => window.axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations));
        },
        emulateMedia: ({media}) => page.emulateMedia(media),
    };
    const run = async (command) => {
        const {call, arguments: given = []} = command;
        try {
            const value = special[call] ? await special[call](command) : await page[call](...given);
            emit('value', {value: value === undefined || Buffer.isBuffer(value) ? null : value});
        } catch (error) {
            emit('failure', {text: String(error.message)});
        }
    };
    obey({run});
    emit('ready', {version: browser.version()});
}

main();
