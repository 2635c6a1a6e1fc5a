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

/** Nothing, and what a condition left out, is not shown. */
function shown(children) {
    return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');
}

/** A table. The first cell of a row is its heading; the columns from `numbers` on stand to the right. */
export function table(titles, rows, numbers = titles.length) {
    const kind = (index) => (index >= numbers ? 'number' : null);
    return h('table', {}, h('thead', {}, h('tr', {}, titles.map((title, index) => h('th', {scope: 'col', class: kind(index)}, title)))),
        h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((cell, index) => (index ? h('td', {class: kind(index)}, cell) : h('th', {scope: 'row'}, cell)))))));
}

/** A card whose content can be wider than it: shadows show that there is more, and the arrow keys move it. */
export function scrollCard(label, content, props = {}) {
    return h('div', {...props, class: 'card scroll', tabindex: 0, role: 'region', 'aria-label': label}, content);
}

const SVG = 'http://www.w3.org/2000/svg';

/** One of the icons below, drawn with the colour of the text. */
export function icon(name) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    for (const shape of PATHS[name].split('|')) {
        const path = document.createElementNS(SVG, 'path');
        path.setAttribute('d', shape);
        svg.append(path);
    }
    return svg;
}

const PATHS = {
    status: 'M3 12h4l3-8 4 16 3-8h4',
    channels: 'M5 9h14|M5 15h14|M10 4 8 20|M16 4l-2 16',
    messages: 'M4 5h16v11H9l-5 4z',
    clients: 'M5 6h14v9H5z|M9 19h6|M12 15v4',
    users: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8z|M4 21c.6-4 4-6 8-6s7.400 2 8 6',
    actions: 'M6 4l13 8-13 8z',
    configuration: 'M4 7h9|M19 7h1|M16 4v6|M4 17h1|M11 17h9|M8 14v6',
    logout: 'M10 4H5v16h5|M14 8l4 4-4 4|M18 12H9',
    theme: 'M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z',
    pause: 'M8 5v14|M16 5v14',
    play: 'M7 5l11 7-11 7z',
    trash: 'M5 7h14|M9 7V4h6v3|M7 7l1 13h8l1-13',
    copy: 'M9 9h11v11H9z|M5 15H4V4h11v1',
    close: 'M6 6l12 12|M18 6 6 18',
    warning: 'M12 4 2.500 20h19z|M12 10v4|M12 17v.5',
};

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
        try {
            await navigator.clipboard.writeText(text());
            button.lastChild.textContent = 'Copied';
        } catch {
            button.lastChild.textContent = 'Copying failed: select the text and copy it';
        }
        setTimeout(() => { button.lastChild.textContent = label; }, 2000);
    });
    return button;
}
