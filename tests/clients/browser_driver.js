// A headless Chromium at a test's command: node browser_driver.js /path/to/chromium [further arguments for it]
//
// Commands: open (with `url`), text (with `selector`: answered with `text` when it is there), click (with `selector`),
// evaluate (with `expression`: answered with `value`). What the page logs comes as `console`, what it fails at as
// `page_error`.
'use strict';

const {chromium} = require('playwright-core');
const {emit, obey} = require('./lines');

const ARGUMENTS = [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--no-first-run',
];

async function main() {
    const browser = await chromium.launch({executablePath: process.argv[2], headless: true, args: [...ARGUMENTS, ...process.argv.slice(3)]});
    const page = await browser.newPage();
    page.on('console', (message) => emit('console', {type: message.type(), text: message.text()}));
    page.on('pageerror', (error) => emit('page_error', {text: String(error)}));
    process.on('exit', () => browser.close());

    obey({
        open: async (command) => {
            await page.goto(command.url);
            emit('opened', {title: await page.title()});
        },
        text: async (command) => emit('text', {text: await page.innerText(command.selector)}),
        click: (command) => page.click(command.selector),
        evaluate: async (command) => emit('value', {value: await page.evaluate(command.expression)}),
    });
    emit('ready', {version: browser.version()});
}

main();
