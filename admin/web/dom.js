// Creates elements without parsing HTML: all data is inserted as text, so that it cannot run as code.

/** An element. `props`: `class`, `on<event>` listeners, booleans, and attributes; children are nodes, texts, or lists. */
export function h(tag, props = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
        else if (name === 'value') element.value = value;
        else if (name === 'style') element.style.cssText = value; // an attribute would be forbidden by the policy of the page
        else element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...shown(children));
    return element;
}

/** Replace all children of an element. The focus stays on the link that leads to the same place. */
export function fill(element, ...children) {
    const focused = element.contains(document.activeElement) && document.activeElement.getAttribute('href');
    element.replaceChildren(...shown(children));
    if (focused) element.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
    return element;
}

/** Whether somebody has selected text in an element, to copy it. */
export function isSelected(element) {
    return !getSelection().isCollapsed && getSelection().containsNode(element, true);
}

/** Replace the children by newer ones, unless text in them is selected. */
export function refill(element, ...children) {
    return isSelected(element) ? element : fill(element, ...children);
}

/** Nothing, and what a condition left out, is not shown. */
function shown(children) {
    return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');
}

/** A table. The first cell of a row is its heading; the columns from `numbers` on stand to the right. `rowProps` returns the attributes of a row. */
export function table(titles, rows, {numbers = titles.length, rowProps = () => ({}), ...props} = {}) {
    const kind = (index) => (index >= numbers ? 'number' : null);
    return h('table', props, h('thead', {}, h('tr', {}, titles.map((title, index) => h('th', {scope: 'col', class: kind(index)}, title)))),
        h('tbody', {}, rows.map((cells, row) => h('tr', rowProps(row), cells.map((cell, index) => (index ? h('td', {class: kind(index)}, cell) : h('th', {scope: 'row'}, cell)))))));
}

/** A card whose content can be wider than it: shadows show that there is more, and the arrow keys move it. */
export function scrollCard(label, content, props = {}) {
    return h('div', {...props, class: 'card scroll', tabindex: 0, role: 'region', 'aria-label': label}, content);
}

/** One of the icons in icons.svg, drawn with the colour of the text. */
export function icon(name) {
    const [svg, use] = ['svg', 'use'].map((tag) => document.createElementNS('http://www.w3.org/2000/svg', tag));
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    use.setAttribute('href', `icons.svg#${name}`);
    svg.append(use);
    return svg;
}

/** Choices of which one is made; `options` are texts by value. The arrow keys change it. */
export function choices(name, legend, options, chosen, onchange) {
    return h('fieldset', {class: 'choices'}, h('legend', {}, legend), Object.entries(options).map(([value, label]) => h('label', {class: 'choice'},
        h('input', {type: 'radio', name, value, checked: value === String(chosen), onchange: () => onchange(value)}), label)));
}

/** A button that asks for confirmation at the first click, and acts at a second click within a few seconds. */
export function confirmButton(label, question, act, props = {}) {
    let timer = 0;
    const button = h('button', {type: 'button', ...props}, label);
    const reset = () => {
        clearTimeout(timer);
        timer = 0;
        button.classList.remove('asking');
        if (props['aria-label']) button.setAttribute('aria-label', props['aria-label']);
        fill(button, label);
    };
    button.addEventListener('click', () => {
        if (timer) {
            reset();
            act();
            return;
        }
        fill(button, question);
        button.classList.add('asking');
        button.removeAttribute('aria-label'); // the question is to be read
        timer = setTimeout(reset, 4000);
    });
    return button;
}

/** A button that copies the result of `text()`. */
export function copyButton(text, label = 'Copy') {
    const button = h('button', {type: 'button', class: 'quiet'}, icon('copy'), label);
    button.addEventListener('click', async () => {
        const copied = await navigator.clipboard?.writeText(text()).then(() => true, () => false);
        button.lastChild.textContent = copied ? 'Copied' : 'Copying failed: select the text and copy it';
        setTimeout(() => { button.lastChild.textContent = label; }, 2000);
    });
    return button;
}
