// Forms for all commands of the API, with the reply and the equivalent curl command.
import {choices, copyButton, fill, h} from '../dom.js';
import {JSONEditor} from '../editor.js';
import {block} from '../json.js';
import {curlCommand, pythonCode, signedCurlCommand, takesKey} from '../requests.js';

const CHANNEL = {name: 'channel', label: 'Channel', required: true};
const USER = {name: 'user', label: 'User ID', required: true};
const DATA = {name: 'data', label: 'Data, as JSON', json: true};
const COMMANDS = {
    publish: {about: 'Send a message to all subscribers of a channel.', fields: [CHANNEL, DATA]},
    broadcast: {about: 'Send the same message into several channels.', fields: [{name: 'channels', label: 'Channels, one per line', lines: true, required: true}, DATA]},
    presence: {about: 'The clients that are subscribed to a channel.', fields: [CHANNEL]},
    history: {about: 'The history of a channel, newest first.', fields: [CHANNEL]},
    channels: {about: 'The channels with a subscriber, on all nodes.', fields: []},
    unsubscribe: {about: 'End the subscriptions of a user to a channel, or to all channels if it is empty.', fields: [USER, {...CHANNEL, required: false}]},
    disconnect: {about: 'Close all connections of a user.', fields: [USER], danger: true},
    stats: {about: 'The counters of all nodes.', fields: []},
    node: {about: 'The counters of the node that serves this page, since its start.', fields: []},
};
const SAMPLE = '{\n  "text": "Hello"\n}';

export function actionsPage(app, argument) {
    const [wanted, ...rest] = argument.split('/');
    let method = COMMANDS[wanted] ? wanted : 'publish';
    const kept = {channel: rest.join('/'), data: SAMPLE};
    let inputs = {};
    let editor = null;
    const names = Object.fromEntries(Object.keys(COMMANDS).map((name) => [name, name]));
    const about = h('p', {class: 'hint'});
    const fields = h('div', {class: 'fields'});
    const problem = h('p', {class: 'problem', role: 'alert'});
    const send = h('button', {class: 'primary', id: 'send'}, 'Send');
    const reply = h('div', {id: 'reply', 'aria-live': 'polite'}, h('p', {class: 'hint'}, 'The reply appears here.'));
    const curl = h('pre', {id: 'curl', tabindex: 0});
    const python = h('pre', {id: 'python', tabindex: 0});
    const signed = h('pre', {id: 'signed', tabindex: 0});
    const v1 = [h('div', {class: 'row heading'}, h('h2', {}, 'curl, with a signature as in Centrifugo v1'), copyButton(() => signed.textContent)), h('div', {class: 'card'}, signed)];
    const form = h('form', {class: 'card form', onsubmit: (event) => { event.preventDefault(); submit(); }},
        about, fields, h('div', {class: 'row'}, send, h('span', {class: 'hint keyhint'}, h('kbd', {}, 'Ctrl'), h('kbd', {}, 'Enter'))), problem);
    const element = h('div', {class: 'page'}, h('h1', {}, 'Actions'), choices('command', 'Command', names, method, choose),
        h('div', {class: 'columns'}, form,
            h('section', {}, h('div', {class: 'row heading'}, h('h2', {}, 'Reply')), h('div', {class: 'card'}, reply),
                h('div', {class: 'row heading'}, h('h2', {}, 'curl'), copyButton(() => curl.textContent)), h('div', {class: 'card'}, curl),
                h('div', {class: 'row heading'}, h('h2', {}, 'Python'), copyButton(() => python.textContent)), h('div', {class: 'card'}, python), v1)));

    function choose(name) {
        keep();
        method = name;
        const command = COMMANDS[name];
        about.textContent = command.about;
        send.className = command.danger ? 'danger' : 'primary';
        problem.textContent = '';
        inputs = {};
        editor?.destroy();
        editor = null;
        fill(fields, command.fields.map((field) => h('label', {}, field.label, make(field))));
        showCurl();
    }

    function make(field) {
        if (field.json) {
            editor = new JSONEditor(kept.data, {label: field.label, onchange: showCurl, onsubmit: submit});
            return editor.element;
        }
        const props = {name: field.name, value: kept[field.name] ?? '', required: field.required, autocomplete: 'off', spellcheck: 'false', oninput: showCurl};
        return inputs[field.name] = field.lines ? h('textarea', {...props, rows: 3}) : h('input', props);
    }

    function keep() {
        for (const [name, input] of Object.entries(inputs)) kept[name] = input.value;
        if (editor) kept.data = editor.text;
    }

    /** Names and values of the params, as JSON texts; data goes as it was typed, so that no number is spelt anew. */
    function values() {
        return COMMANDS[method].fields.flatMap((field) => {
            if (field.json) return [[field.name, editor.check() ? editor.text.trim() : 'null']];
            const {value} = inputs[field.name];
            if (field.lines) return [[field.name, JSON.stringify(value.split('\n').map((line) => line.trim()).filter(Boolean))]];
            return value || field.required ? [[field.name, JSON.stringify(value)]] : [];
        });
    }

    function params() {
        return `{${values().map(([name, value]) => `"${name}": ${value}`).join(', ')}}`;
    }

    function showCurl() {
        const config = app.info?.config, byKey = takesKey(method, config), signedCommand = signedCurlCommand(method, params(), config);
        curl.textContent = byKey ? curlCommand(method, params(), config) : signedCommand;
        signed.textContent = signedCommand;
        for (const part of v1) part.hidden = !byKey || !config.secret;
        python.textContent = pythonCode(method, values().map(([, value]) => value), app.info?.config);
    }

    async function submit() {
        problem.textContent = '';
        if (!form.reportValidity()) return;
        if (editor && !editor.check()) {
            problem.textContent = 'The data is not valid JSON.';
            return;
        }
        send.disabled = true;
        try {
            const answer = await app.socket.ask({method}, params());
            const {uid, ...shown} = answer;
            fill(reply, h('p', {class: answer.error ? 'verdict bad' : 'verdict good'}, answer.error ? `Error: ${answer.error}` : 'Done'), block(shown));
        } catch (error) {
            problem.textContent = `Not sent, or no reply: ${error.message}.`;
        }
        send.disabled = false;
    }

    choose(method);
    return {
        element,
        connected: showCurl,
        leave: () => editor?.destroy(),
    };
}
