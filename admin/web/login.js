// The login form, which exchanges the password for a session: a cookie that scripts cannot read.
import {h} from './dom.js';

/** The form. `enter` is called when the session has begun; with insecure_admin, or behind a proxy that has checked who it is, without a password. */
export function loginPage(message, enter) {
    const password = h('input', {type: 'password', id: 'password', name: 'password', autocomplete: 'current-password', required: true});
    const problem = h('p', {class: 'problem', role: 'alert'}, message);
    const button = h('button', {class: 'primary'}, 'Log in');
    const form = h('form', {class: 'card login'},
        h('img', {src: 'icon.svg', alt: '', width: 56, height: 56}),
        h('h1', {}, 'Gentrifugo'),
        h('input', {name: 'username', autocomplete: 'username', value: 'admin', hidden: true}), // for password managers
        h('label', {for: 'password'}, 'Password'), password, button, problem);
    form.addEventListener('submit', async (event) => {
        event.preventDefault();
        button.disabled = true;
        problem.textContent = '';
        const answer = await ask(password.value);
        button.disabled = false;
        if (answer.wait) countDown(button, answer.wait);
        if (!answer.problem) return enter(answer.insecure);
        problem.textContent = answer.problem;
        password.select();
    });
    if (!message) enterWithoutPassword();
    return h('main', {class: 'login-page'}, form);

    async function enterWithoutPassword() {
        const answer = await fetch('auth/session').then((response) => response.json()).catch(() => ({}));
        if (answer.needs_password !== false) return;
        const {problem, insecure} = await ask('');
        if (!problem && form.isConnected) enter(insecure);
    }
}

/** Keep the button from being pressed for so many seconds, and show how many are left. */
function countDown(button, seconds) {
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? `Wait ${seconds} s` : 'Log in';
    if (seconds > 0) setTimeout(() => countDown(button, seconds - 1), 1000);
}

async function ask(password) {
    try {
        const response = await fetch('auth/session', {method: 'POST', body: new URLSearchParams({password})});
        if (response.ok) return await response.json();
        const text = (await response.text()).trim();
        return {wait: Number(response.headers.get('Retry-After')) || 0, problem: text ? text[0].toUpperCase() + text.slice(1) + '.' : `The server answered ${response.status}.`};
    } catch {
        return {problem: 'The server cannot be reached.'};
    }
}
