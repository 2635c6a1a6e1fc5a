// Tabs: one panel at a time, chosen with the mouse or the arrow keys.
import {h} from './dom.js';

/** `panels` is a list of [title, element]. */
export function tabs(label, panels) {
    const buttons = panels.map(([title], index) => h('button', {type: 'button', role: 'tab', id: `tab-${index}`, 'aria-controls': `panel-${index}`, onclick: () => show(index)}, title));
    const boxes = panels.map(([, element], index) => h('div', {role: 'tabpanel', id: `panel-${index}`, 'aria-labelledby': `tab-${index}`, tabindex: -1}, element));
    const list = h('div', {class: 'tabs', role: 'tablist', 'aria-label': label, onkeydown: (event) => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (!step) return;
        const next = (buttons.findIndex((button) => button.getAttribute('aria-selected') === 'true') + step + buttons.length) % buttons.length;
        show(next);
        buttons[next].focus();
    }}, buttons);

    function show(chosen) {
        buttons.forEach((button, index) => {
            button.setAttribute('aria-selected', String(index === chosen));
            button.tabIndex = index === chosen ? 0 : -1;
            boxes[index].hidden = index !== chosen;
        });
    }

    show(0);
    return h('div', {}, list, boxes);
}
