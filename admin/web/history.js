// The history of a channel: offset, uid and decoded data of each message, and copies of them for other programs.
import {copyButton, fill, h, isSelected} from './dom.js';
import {count} from './format.js';
import {block, coloured, stringify} from './json.js';
import {curlCommand, pythonCode} from './requests.js';

const PREVIEW = 400;

export class HistoryList {
    #stream = null;

    constructor(app, channel) {
        const config = () => app.info?.config;
        this.app = app;
        this.channel = channel;
        this.position = h('dl', {class: 'position'});
        this.list = h('div', {id: 'history', class: 'card columned stream'});
        this.element = h('div', {}, this.position, h('div', {class: 'row copies'}, h('span', {class: 'hint'}, 'Copy the history:'),
            copyButton(() => stringify(this.#stream?.publications ?? [], 2), 'as JSON'),
            copyButton(() => curlCommand('history', `{"channel": ${JSON.stringify(channel)}}`, config()), 'as curl'),
            copyButton(() => pythonCode('history', [JSON.stringify(channel)], config()), 'as Python')), this.list);
    }

    /** Ask for the newest messages; returns how many there are, or null if the channel has no history. */
    async load() {
        const stream = await askChannel(this.app.socket, 'stream', 'history', this.channel, this.list);
        if (stream) this.#show(stream);
        return stream && stream.publications.length;
    }

    #show(stream) {
        if (stringify(stream) === stringify(this.#stream) || isSelected(this.list)) return;
        this.#stream = stream;
        fill(this.position, [['Recover from offset', String(stream.offset)], ['Epoch', stream.epoch]].map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, h('code', {}, value)))));
        const opened = new Set([...this.list.querySelectorAll('details[open]')].map((details) => details.dataset.uid));
        fill(this.list, stream.publications.length ? [
            h('div', {class: 'feed-head', 'aria-hidden': 'true'}, ['Offset', 'Uid', 'User', 'Data'].map((name) => h('span', {}, name))),
            h('ol', {class: 'feed', 'aria-label': 'History, newest first'}, stream.publications.map((message) => this.#row(message, opened.has(message.uid)))),
        ] : h('p', {class: 'hint'}, 'The history is empty.'));
    }

    #row(message, isOpen) {
        const text = decoded(message);
        const details = h('details', {'data-uid': message.uid}, h('summary', {},
            h('span', {class: 'offset'}, count(message.offset)), h('code', {class: 'uid', title: message.uid}, message.uid),
            h('span', {class: 'user'}, message.info && (message.info.user || 'anonymous')), h('code', {}, coloured(text.slice(0, PREVIEW)))));
        details.addEventListener('toggle', () => {
            if (!details.open || details.childElementCount > 1) return;
            const {config} = this.app.info;
            const [channel, data] = [JSON.stringify(this.channel), stringify(message.data)];
            details.append(block(message), message.is_base64 ? h('pre', {}, `Decoded from Base64:\n${text}`) : '', h('div', {class: 'row copies'},
                copyButton(() => stringify(message, 2), 'Copy as JSON'),
                !message.is_base64 && copyButton(() => curlCommand('publish', `{"channel": ${channel}, "data": ${data}}`, config), 'publish again with curl'),
                !message.is_base64 && copyButton(() => pythonCode('publish', [channel, data], config), 'with Python')));
        });
        details.open = isOpen;
        return h('li', {}, details);
    }
}

/** The reply to a command about `what` a channel has; null if it does not tell, and then `place` shows why. */
export async function askChannel(socket, method, what, channel, place) {
    const reasons = {'not available': `This channel has no ${what}: its options do not enable it.`, 'namespace not found': 'The namespace is not in the configuration.'};
    try {
        return (await socket.call(method, {channel})).data;
    } catch (error) {
        if (socket.state === 'connected') fill(place, h('p', {class: 'hint'}, reasons[error.message] ?? error.message));
        return null;
    }
}

/** The data as text: JSON, or bytes that are not JSON, which come in Base64, as text or in hexadecimal. */
function decoded(message) {
    if (!message.is_base64) return stringify(message.data);
    const bytes = Uint8Array.from(atob(message.data), (character) => character.charCodeAt(0));
    try { return new TextDecoder('utf-8', {fatal: true}).decode(bytes); } catch { return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' '); }
}
