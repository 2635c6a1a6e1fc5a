// The connections of one user on all nodes, with buttons to disconnect and unsubscribe.
import {confirmButton, fill, h, icon} from '../dom.js';
import {count} from '../format.js';

const INTERVAL = 3000;

export function usersPage({socket, link, go}, user) {
    let timer = 0;
    const asked = location.hash.startsWith('#/users/');
    const field = h('input', {type: 'search', placeholder: 'User ID', 'aria-label': 'User ID', 'data-filter': true, value: user});
    const form = h('form', {class: 'row', onsubmit: (event) => {
        event.preventDefault();
        go('users', field.value);
    }}, field, h('button', {class: 'primary'}, 'Find'));
    const result = h('div', {id: 'connections', class: 'page'});
    const problem = h('p', {class: 'problem', role: 'alert'});
    const element = h('div', {class: 'page'}, h('h1', {}, 'Users'), form, problem, result);
    if (!asked) fill(result, h('p', {class: 'hint'}, 'Enter the ID of a user to see its connections on all nodes. The presence list of a channel links to this page too.'));

    async function load() {
        clearTimeout(timer);
        if (!asked || !element.isConnected && timer) return;
        try {
            show((await socket.call('connections', {user})).data);
        } catch { /* the state of the connection stands above */ }
        timer = setTimeout(load, INTERVAL);
    }

    function show(connections) {
        const heading = h('div', {class: 'row heading'},
            h('h2', {}, user || 'Anonymous', h('span', {class: 'badge'}, `${count(connections.length)} ${connections.length === 1 ? 'connection' : 'connections'}`)),
            user && connections.length > 0 && confirmButton('Disconnect', `Disconnect ${user}?`, () => act('disconnect', {user}), {class: 'danger', id: 'disconnect'}));
        // A button that waits for its confirmation must not be replaced.
        if (result.querySelector('.asking')) return;
        fill(result, heading, connections.map(({client, node, channels, protocol, library}) => h('section', {class: 'card connection'},
            h('header', {}, h('code', {}, client), h('span', {class: 'badge'}, node),
                protocol && h('span', {class: 'badge'}, protocol), library && h('span', {class: 'hint'}, library)),
            channels.length ? h('ul', {class: 'chips'}, channels.map((channel) => h('li', {},
                h('a', {href: link('channel', channel)}, channel),
                user && h('button', {type: 'button', class: 'quiet', 'aria-label': `Unsubscribe ${user} from ${channel}`, title: 'Unsubscribe the user from this channel',
                    onclick: () => act('unsubscribe', {user, channel})}, icon('close'))))) : h('p', {class: 'hint'}, 'No subscriptions.'))),
        !connections.length && h('p', {class: 'hint'}, 'No connection of this user is open.'));
    }

    async function act(method, params) {
        problem.textContent = '';
        try {
            await socket.call(method, params);
        } catch (error) {
            problem.textContent = `${method}: ${error.message}`;
        }
        setTimeout(load, 150);
    }

    load();
    return {element, connected: load, leave: () => clearTimeout(timer)};
}
