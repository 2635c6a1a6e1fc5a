// A JSON input that shows errors while typing: Ace if it is installed, otherwise a plain text field.
import {fill, h} from './dom.js';

let library = null;

/** Ace, or null where it is not installed. It is no module: its script sets a global. */
function loadAce() {
    library ??= new Promise((resolve) => {
        const script = h('script', {src: 'vendor/ace/ace.js'});
        script.addEventListener('load', () => {
            window.ace.config.set('basePath', new URL('vendor/ace', document.baseURI).href);
            window.ace.config.set('useStrictCSP', true); // its styles are a file, not written into the page
            window.ace.config.set('loadWorkerFromBlob', false);
            resolve(window.ace);
        });
        script.addEventListener('error', () => resolve(null));
        document.head.append(script, h('link', {rel: 'stylesheet', href: 'vendor/ace/ace.css'}));
    });
    return library;
}

const POSITION = /position (\d+)/;
const LINE = /line (\d+) column (\d+)/;

export class JSONEditor {
    #ace = null;

    constructor(text, {label, onchange = () => {}, onsubmit = () => {}}) {
        this.onchange = onchange;
        this.area = h('textarea', {rows: 9, spellcheck: 'false', autocapitalize: 'off', 'aria-label': label, class: 'code'});
        this.area.value = text;
        this.area.addEventListener('input', () => this.#changed());
        this.problem = h('p', {class: 'problem', role: 'status', 'aria-live': 'polite'});
        this.box = h('div', {class: 'editor'}, this.area);
        this.element = h('div', {}, this.box, this.problem);
        this.element.addEventListener('keydown', (event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                event.stopPropagation();
                onsubmit();
            }
        }, true);
        this.ready = this.#upgrade(label);
        this.check();
    }

    get text() {
        return this.#ace ? this.#ace.getValue() : this.area.value;
    }

    /** Whether the input is valid JSON; otherwise the page shows the error and its place. */
    check() {
        const {text} = this;
        let error = null;
        try { JSON.parse(text); } catch (caught) { error = caught; }
        const place = error ? placeOf(error.message, text) : null;
        this.#ace?.session.setAnnotations(error ? [{row: place.row, column: place.column, text: error.message, type: 'error'}] : []);
        this.problem.textContent = error ? `Not JSON, line ${place.row + 1}, column ${place.column + 1}: ${reason(error.message)}` : '';
        this.box.classList.toggle('wrong', Boolean(error));
        return !error;
    }

    destroy() {
        this.#ace?.destroy();
    }

    #changed() {
        this.check();
        this.onchange();
    }

    async #upgrade(label) {
        const ace = await loadAce();
        if (!ace) {
            this.element.append(h('p', {class: 'hint'}, 'A plain text field, because the editor Ace is not installed (make install).'));
            return;
        }
        const {text} = this;
        const target = h('div', {class: 'ace'});
        fill(this.box, target);
        const editor = ace.edit(target, {
            value: text, mode: 'ace/mode/json', useWorker: false, tabSize: 2, useSoftTabs: true, showPrintMargin: false,
            minLines: 9, maxLines: 24, wrap: true, fontSize: 13, highlightActiveLine: false, showFoldWidgets: false, displayIndentGuides: false,
        });
        editor.setOption('enableKeyboardAccessibility', true);
        editor.textInput.getElement().setAttribute('aria-label', label);
        this.#ace = editor;
        editor.session.on('change', () => queueMicrotask(() => this.#changed()));
        this.check();
    }
}

function placeOf(message, text) {
    const line = LINE.exec(message);
    if (line) return {row: line[1] - 1, column: line[2] - 1};
    const before = text.slice(0, POSITION.exec(message)?.[1] ?? text.length).split('\n');
    return {row: before.length - 1, column: before.at(-1).length};
}

function reason(message) {
    return message.replace(/ in JSON at position.*$/, '').replace(/,? ?"[^]*" is not valid JSON$/, '').replace(/ \(line.*$/, '') || 'nothing there';
}
