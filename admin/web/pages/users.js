// The users by connections; and the connections of one user on all nodes, each with what can be done to it.
import {confirmButton, h, icon, refill} from '../dom.js';
import {count, duration, time} from '../format.js';
import {plain} from '../json.js';
import {Listing} from '../listing.js';
import {polling} from '../polling.js';

export function usersPage(app, user) {
    if (location.hash.startsWith('#/users/')) return userPage(app, user);
    return new Listing(app, {
        title: 'Users', kind: 'users', columns: {name: 'User', count: 'Connections'}, label: 'User ID',
        href: (name) => app.link('users', name), open: (name) => app.go('users', name),
    });
}

function userPage({socket, link}, user) {
    const {again, stop} = polling(load);
    const name = user || 'anonymous';
    const result = h('div', {id: 'connections', class: 'page'});
    const problem = h('p', {class: 'problem', role: 'alert'});
    const number = h('span', {class: 'badge'});
    const all = user && confirmButton('Disconnect', `Close all connections of ${name}?`, () => act('disconnect', {user}), {class: 'danger', id: 'disconnect'});
    const element = h('div', {class: 'page'}, h('p', {class: 'crumbs'}, h('a', {href: link('users')}, 'Users')),
        h('div', {class: 'row heading'}, h('h1', {}, name, number), all), problem, result);

    async function load(isWanted) {
        const found = await socket.call('connections', {user}).catch(() => null);
        if (found && isWanted()) show(plain(found.data));
    }

    function show(connections) {
        number.textContent = `${count(connections.length)} ${connections.length === 1 ? 'connection' : 'connections'}`;
        if (all) all.hidden = !connections.length;
        // A button that waits for its confirmation, or has the focus, must not be replaced.
        if (result.querySelector('.asking') || result.contains(document.activeElement)) return;
        refill(result, connections.map(card), !connections.length && h('p', {class: 'hint'}, 'No connection of this user is open.'));
    }

    function card({client, node, address, transport, protocol, library, since, idle, channels}) {
        const facts = {Node: node, Address: address, Transport: transport, Protocol: protocol, Library: library,
            Since: since && `${time(new Date(1000 * since))}, ${duration(Date.now() / 1000 - since)} ago`, 'Last message': since && `${duration(idle)} ago`};
        return h('section', {class: 'card connection', 'aria-label': `Connection ${client}`},
            h('div', {class: 'row heading'}, h('code', {}, client),
                confirmButton('Close', `Close this connection of ${name}?`, () => act('close_connection', {user, client}), {class: 'danger', 'aria-label': `Close connection ${client} of ${name}`})),
            h('dl', {class: 'position'}, Object.entries(facts).filter(([, value]) => value).map(([title, value]) => h('div', {}, h('dt', {}, title), h('dd', {}, value)))),
            channels.length ? h('ul', {class: 'chips'}, channels.map((channel) => h('li', {}, h('a', {href: link('channel', channel)}, channel),
                confirmButton(icon('close'), `Unsubscribe ${name}?`, () => act('end_subscription', {user, client, channel}), {class: 'quiet', 'aria-label': `Unsubscribe ${name} from ${channel}`})))) : h('p', {class: 'hint'}, 'No subscriptions.'));
    }

    async function act(method, params) {
        problem.textContent = '';
        await socket.call(method, params).catch((error) => { problem.textContent = `${method}: ${error.message}`; });
        document.activeElement?.blur();
        setTimeout(again, 150);
    }

    again();
    return {element, connected: again, leave: stop};
}
