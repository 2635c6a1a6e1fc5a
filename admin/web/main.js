// The frame around the pages: log in, navigation, the state of the connection, keys.
import {fill, h, icon} from './dom.js';
import {Feed} from './feed.js';
import {time} from './format.js';
import {Live} from './live.js';
import {loginPage} from './login.js';
import {Socket} from './socket.js';
import {actionsPage} from './pages/actions.js';
import {channelPage} from './pages/channel.js';
import {channelsPage} from './pages/channels.js';
import {clientsPage} from './pages/clients.js';
import {configurationPage} from './pages/configuration.js';
import {messagesPage} from './pages/messages.js';
import {statusPage} from './pages/status.js';
import {usersPage} from './pages/users.js';

const SESSION = 'gentrifugo.session', THEME = 'gentrifugo.theme';
const PAGES = {
    status: {title: 'Status', key: 's', make: statusPage},
    channels: {title: 'Channels', key: 'c', make: channelsPage},
    messages: {title: 'Messages', key: 'm', make: messagesPage},
    clients: {title: 'Clients', key: 'l', make: clientsPage},
    users: {title: 'Users', key: 'u', make: usersPage},
    actions: {title: 'Actions', key: 'a', make: actionsPage},
    configuration: {title: 'Options', key: 'o', make: configurationPage},
};

const socket = new Socket();
/** The objects that are passed to each page. */
const app = {socket, live: new Live(socket), feed: new Feed(socket), info: null, link, go};
let page = null, content = null, leading = false;

/** The address of a page, as `#/channel/news`. */
function link(...parts) {
    return `#/${parts.map(encodeURIComponent).join('/')}`;
}

function go(...parts) {
    location.hash = link(...parts);
}

function route() {
    const parts = location.hash.replace(/^#\/?/, '').split('/').map((part) => {
        try { return decodeURIComponent(part); } catch { return part; }
    });
    return {name: parts[0] || 'status', argument: parts.slice(1).join('/')};
}

// -- the current page

function showLogin(message = '') {
    leavePage();
    content = null;
    document.title = 'Log in – Gentrifugo';
    fill(document.getElementById('app'), loginPage(message, (insecure) => {
        localStorage.setItem(SESSION, insecure ? 'insecure' : 'cookie');
        start();
    }));
    document.getElementById('password')?.focus();
}

function showFrame() {
    content = h('main', {id: 'content', tabindex: '-1'});
    const links = Object.entries(PAGES).map(([name, {title, key}]) => h('a', {
        href: link(name), 'data-page': name, title: `${title} (g ${key})`,
    }, icon(name), h('span', {}, title)));
    fill(document.getElementById('app'),
        h('a', {class: 'skip', href: '#content', onclick: (event) => { event.preventDefault(); content.focus(); }}, 'Skip to the content'),
        h('div', {class: 'frame'},
            h('header', {class: 'bar'},
                h('a', {class: 'brand', href: link('status')}, h('img', {src: 'icon.svg', alt: '', width: 26, height: 26}), h('span', {}, 'Gentrifugo')),
                h('span', {class: 'state', id: 'state', role: 'status'}),
                h('button', {type: 'button', class: 'quiet', title: 'Light or dark (t)', 'aria-label': 'Light or dark', onclick: switchTheme}, icon('theme')),
                h('button', {type: 'button', class: 'quiet', id: 'logout', title: 'Log out', hidden: localStorage.getItem(SESSION) === 'insecure', 'aria-label': 'Log out', onclick: logOut}, icon('logout'))),
            h('nav', {'aria-label': 'Pages'}, links),
            h('div', {class: 'middle'}, h('div', {class: 'banner', id: 'banner', role: 'alert', hidden: true}), content)));
    showState();
    showPage();
}

function showPage() {
    if (!content) return;
    leavePage();
    const {name, argument} = route();
    const shown = name === 'channel' && argument ? {title: argument, make: channelPage} : Object.hasOwn(PAGES, name) ? PAGES[name] : {title: 'Page not found', make: unknownPage};
    document.title = `${shown.title} – Gentrifugo`;
    for (const item of document.querySelectorAll('nav a')) {
        item.ariaCurrent = item.dataset.page === (name === 'channel' ? 'channels' : name) ? 'page' : null;
    }
    page = shown.make(app, argument);
    fill(content, page.element);
    window.scrollTo(0, 0);
}

function unknownPage() {
    return {element: h('div', {class: 'page'}, h('h1', {}, 'Page not found'),
        h('p', {}, 'The interface has no page ', h('code', {}, location.hash), '. The menu has all pages.'), h('p', {}, h('a', {class: 'button', href: link('status')}, 'Status')))};
}

function leavePage() {
    page?.leave?.();
    page = null;
}

function showState() {
    const state = document.getElementById('state');
    if (!state) return;
    const text = {connected: 'connected', connecting: 'connecting', lost: 'disconnected'}[socket.state] ?? socket.state;
    state.className = `state ${socket.state}`;
    fill(state, h('i', {class: 'dot'}), h('span', {}, text));
    showBanner();
}

function showBanner() {
    const banner = document.getElementById('banner');
    if (!banner) return;
    content.classList.toggle('old', app.live.isOld || socket.state === 'lost');
    content.style.setProperty('--partial', app.live.partial ? `"${CSS.escape(app.live.partial)}"` : 'none');
    const problem = socket.state === 'lost' ? `The connection to the server is lost, reconnecting. ${app.live.answeredAt ? `All figures are of ${time(new Date(app.live.answeredAt))}.` : ''}`
        : socket.state === 'connected' ? engineProblem() : '';
    if (banner.dataset.problem === problem) return; // an alert is read out each time it changes
    banner.dataset.problem = problem;
    banner.hidden = !problem;
    fill(banner, icon('warning'), problem);
}

function engineProblem() {
    const {live} = app;
    if (live.isOld) return `The server does not answer. All figures are of ${time(new Date(live.answeredAt))}.`;
    return [...live.servers.filter(({reachable}) => !reachable).map(({name, since, node}) => `Redis ${name} has been unreachable since ${time(new Date(since * 1000))} (node ${node}).`),
        ...live.nodes.filter(({silentSince}) => silentSince).map(({name, silentSince}) => `The node ${name} has not reported since ${time(new Date(1000 * silentSince))}.`),
        live.partial && `All figures are of ${live.partial}.`].filter(Boolean).join(' ');
}

// -- logging in and out

function start() {
    showFrame();
    socket.open();
}

async function logOut() {
    localStorage.setItem(SESSION, ''); // which the other tabs notice
    await fetch('auth/session', {method: 'DELETE'}).catch(() => {});
    end('You have logged out.');
}

function end(message) {
    socket.close();
    app.info = null;
    app.feed.clear();
    showLogin(message);
}

socket.addEventListener('state', async ({detail}) => {
    if (detail.state === 'refused') {
        localStorage.removeItem(SESSION);
        end('Your session has ended. Please log in again.');
        return;
    }
    showState();
    if (detail.state !== 'connected') return;
    try {
        app.info = (await socket.call('info')).data;
        app.live.pingInterval = app.info.config.node_ping_interval;
        page?.connected?.();
    } catch { /* lost again already; the next connection asks anew */ }
});

for (const event of ['change', 'old']) app.live.addEventListener(event, showBanner);

// -- keys and colours

function theme() {
    return localStorage.getItem(THEME) ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
}

function applyTheme() {
    document.documentElement.dataset.theme = theme();
}

function switchTheme() {
    localStorage.setItem(THEME, theme() === 'dark' ? 'light' : 'dark');
    applyTheme();
    app.live.dispatchEvent(new Event('change'));
}

function isTyping(target) {
    return target.closest('input, textarea, select, [contenteditable], .ace_editor') !== null;
}

document.addEventListener('keydown', (event) => {
    if (!content || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog')) return;
    if (event.key === 'Escape' && isTyping(event.target)) event.target.blur();
    if (isTyping(event.target)) return;
    const target = Object.keys(PAGES).find((name) => PAGES[name].key === event.key);
    if (leading && target) go(target);
    else if (event.key === 't') switchTheme();
    else if (event.key === '?') help();
    else if (event.key === '/') focusFilter(event);
    else if (!leading) page?.key?.(event);
    leading = event.key === 'g' && !leading;
});

function focusFilter(event) {
    const filter = document.querySelector('[data-filter]');
    if (filter) {
        event.preventDefault();
        filter.focus();
    }
}

function help() {
    const keys = [
        ...Object.values(PAGES).map(({title, key}) => [`g ${key}`, title]),
        ['/', 'go to the filter'], ['p', 'pause or continue (messages)'], ['Ctrl Enter', 'send (actions)'],
        ['t', 'light or dark'], ['?', 'this'], ['Esc', 'leave a field'],
    ];
    const dialog = h('dialog', {'aria-label': 'Keys', onclose: () => dialog.remove()}, h('h2', {}, 'Keys'),
        h('dl', {class: 'keys'}, keys.map(([key, meaning]) => [
            h('dt', {}, key.split(' ').map((one) => h('kbd', {}, one))), h('dd', {}, meaning),
        ])),
        h('form', {method: 'dialog', onsubmit: (event) => { event.preventDefault(); dialog.close(); }}, h('button', {}, 'Close')));
    document.body.append(dialog);
    dialog.showModal();
}

window.addEventListener('hashchange', () => { showPage(); if (document.activeElement === document.body) content?.focus({preventScroll: true}); }); // what had the focus is gone
window.addEventListener('storage', ({key, newValue}) => { if (key === SESSION && newValue === '') end('You have logged out.'); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', applyTheme);
applyTheme();
if (localStorage.getItem(SESSION)) start();
else showLogin();
