// Plots with uPlot from vendor/: values under the cursor, zoom over all plots of a page, lines that can be switched off.
// Without uPlot the page shows a note, and the values of each plot as a table.
import {fill, h, table} from './dom.js';
import {time} from './format.js';

let library = null;

/** uPlot, or null where it is not installed. */
async function loadPlots() {
    library ??= import('./vendor/uplot/uPlot.esm.js').then((module) => {
        document.head.append(h('link', {rel: 'stylesheet', href: 'vendor/uplot/uPlot.min.css'}));
        return module.default;
    }, () => null);
    return library;
}

const HEIGHT = 150;
const COLOURS = 8;
const SHORTEST = 60; // seconds that a plot shows at least, also when it has only begun
const DASHES = [[], [7, 4], [2, 3]]; // a line that lies on another one lets it show through

/** All plots of the page: they have one cursor and one range of time. */
const plots = new Set();
let zoom = null;

function zoomTo(range) {
    zoom = range;
    plots.forEach((plot) => plot.show());
}

/** One plot. `lines()` returns [{label, values}], `times()` their times. `figure` says what the number above it is. */
export class Plot {
    #hidden = new Set();
    #drawnFor = '';
    #uplot = null;
    #lines = [];
    #keys = [];

    constructor(title, times, lines, format, {figure = 'sum', stacked = false} = {}) {
        Object.assign(this, {title, times, lines, format, stacked, figureIs: figure});
        this.figure = h('span', {class: 'figure'}, '–');
        this.whole = h('button', {type: 'button', class: 'quiet whole', hidden: true, onclick: () => zoomTo(null)}, 'Whole time');
        this.canvas = h('div', {class: 'plot', role: 'img', 'aria-label': title});
        this.legend = h('div', {class: 'legend', role: 'group', 'aria-label': `Lines of ${title}`});
        this.tip = h('div', {class: 'tip', hidden: true});
        this.table = h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Values of ${title}`});
        this.values = h('details', {class: 'values', ontoggle: () => this.#fillTable()}, h('summary', {}, 'Values'), this.table);
        this.element = h('section', {class: 'card plot-card', 'aria-label': title},
            h('header', {}, h('h2', {}, title), this.whole, this.figure), this.canvas, this.legend, this.values);
        this.observer = new ResizeObserver(() => this.#resize());
        this.observer.observe(this.canvas);
        plots.add(this);
    }

    async update() {
        this.#lines = this.lines();
        const figure = this.#figureOf(this.times().length - 1);
        fill(this.figure, figure === null ? '–' : this.format(figure), this.figureIs === 'highest' && this.#lines.length > 1 && h('small', {}, 'highest'));
        if (this.values.open) this.#fillTable();
        const UPlot = await loadPlots();
        if (!plots.has(this)) return; // the page was left meanwhile
        if (!UPlot) {
            fill(this.canvas, h('p', {class: 'hint'}, 'No plot: uPlot is not installed (make install).'));
            return;
        }
        const drawnFor = this.#lines.map(({label}) => label).join('\n') + document.documentElement.dataset.theme;
        if (drawnFor !== this.#drawnFor) this.#draw(UPlot);
        this.#drawnFor = drawnFor;
        this.show();
    }

    /** Draw what there is, in the range of time that all plots have. */
    show() {
        if (!this.#uplot) return;
        const times = this.times();
        this.#uplot.setData(this.#data(), false);
        const last = times.at(-1) ?? Date.now() / 1000;
        const [min, max] = zoom ?? [Math.min(times[0] ?? last, last - SHORTEST), last];
        this.#uplot.setScale('x', {min, max});
        this.whole.hidden = !zoom;
        this.#showValues(this.#uplot.cursor.idx ?? times.length - 1);
        this.canvas.setAttribute('aria-label', `${this.title}, now ${this.figure.textContent}: ${this.#lines.map((line) => this.#summary(line)).join('; ')}`);
    }

    destroy() {
        plots.delete(this);
        if (!plots.size) zoom = null;
        this.observer.disconnect();
        this.#uplot?.destroy();
        this.#uplot = null;
    }

    #figureOf(index) {
        const values = this.#lines.map((line) => line.values[index] ?? null).filter((value) => value !== null);
        if (!values.length) return null;
        return this.figureIs === 'highest' ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
    }

    /** The columns of uPlot: each line by itself, or on top of those before it. The first line is drawn last, over those that add nothing to it. */
    #data() {
        const times = this.times();
        const below = times.map(() => 0);
        return [times, ...this.#lines.map(({label, values}) => times.map((_, index) => {
            const value = values[index] ?? null;
            if (!this.stacked || this.#hidden.has(label) || value === null) return value;
            return below[index] += value;
        })).reverse()];
    }

    #draw(UPlot) {
        this.#uplot?.destroy();
        const style = getComputedStyle(document.documentElement);
        const colour = (name) => style.getPropertyValue(name).trim();
        const axis = {stroke: colour('--faint'), grid: {stroke: colour('--line'), width: 1}, ticks: {show: false}, font: '11px system-ui, sans-serif'};
        const filled = this.stacked || this.#lines.length === 1;
        const moves = (type) => type === 'mousemove' || type === 'mouseleave';
        this.#uplot = new UPlot({
            width: this.canvas.clientWidth || 300,
            height: HEIGHT,
            padding: [10, 24, 0, 0],
            legend: {show: false},
            cursor: {
                y: false, drag: {x: true, y: false, setScale: false}, sync: {key: 'plots', filters: {pub: moves, sub: moves}},
                bind: {dblclick: () => () => { zoomTo(null); return null; }},
            },
            scales: {y: {range: (self, low, high) => [0, high > 0 ? high * 1.1 : 1]}},
            axes: [
                {...axis, space: 80, size: 26, values: (self, splits, index, space, step) => splits.map((value) => clock(value, step))},
                {...axis, size: 62, space: 34, incrs: this.format.steps, values: (self, splits) => splits.map((value) => (value ? this.format(value).replace(/\.0+ /, ' ') : '0'))},
            ],
            series: [{}, ...this.#lines.map(({label}, index) => {
                const stroke = colour(`--plot-${index % COLOURS + 1}`);
                return {label, stroke, width: 1.6, dash: filled ? [] : DASHES[index % DASHES.length], show: !this.#hidden.has(label), fill: filled ? `${stroke}2e` : undefined, points: {show: false}};
            }).reverse()],
            bands: this.stacked ? this.#bands() : [],
            hooks: {setCursor: [() => this.#point()], setSelect: [(self) => this.#select(self)]},
        }, this.#data(), this.canvas);
        this.#uplot.over.append(this.tip);
        this.#keys = this.#lines.map(({label}, index) => h('button', {
            type: 'button', class: 'key', style: colourOf(index), 'aria-pressed': String(!this.#hidden.has(label)), title: 'Show or hide this line', onclick: () => this.#switch(label, index),
        }, h('span', {}, label), h('b')));
        fill(this.legend, this.#keys);
    }

    /** Each shown line of a stack is filled down to the one below it. */
    #bands() {
        const shown = this.#lines.flatMap(({label}, index) => (this.#hidden.has(label) ? [] : [this.#lines.length - index]));
        return shown.slice(1).map((upper, index) => ({series: [upper, shown[index]]}));
    }

    async #switch(label, index) {
        if (!this.#hidden.delete(label)) this.#hidden.add(label);
        this.#drawnFor = '';
        await this.update();
        this.#keys[index].focus();
    }

    #select(self) {
        const {left, width} = self.select;
        if (width > 4) zoomTo([self.posToVal(left, 'x'), self.posToVal(left + width, 'x')]);
        self.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
    }

    /** Show the values under the cursor: beside it in the plot where it is, in the legend of all. */
    #point() {
        const {idx, left, event} = this.#uplot?.cursor ?? {};
        const isHere = event?.type === 'mousemove' && this.#uplot.over.contains(event.target);
        const index = idx ?? null;
        this.#showValues(index ?? this.times().length - 1);
        this.tip.hidden = index === null || !isHere;
        if (this.tip.hidden) return;
        const rows = this.#lines.map((line, place) => [place, line]).filter(([, {label}]) => !this.#hidden.has(label));
        fill(this.tip, h('time', {}, clock(this.times()[index], 1)), rows.map(([place, {label, values}]) => h('div', {class: 'key', style: colourOf(place)},
            h('span', {}, label), h('b', {}, this.format(values[index] ?? null)))),
        this.stacked && rows.length > 1 && h('div', {}, h('span', {}, 'together'), h('b', {}, this.format(rows.reduce((sum, [, {values}]) => sum + (values[index] ?? 0), 0)))));
        const isRight = left > this.#uplot.over.clientWidth / 2;
        this.tip.style.left = isRight ? '' : `${left + 10}px`;
        this.tip.style.right = isRight ? `${this.#uplot.over.clientWidth - left + 10}px` : '';
    }

    #showValues(index) {
        this.#lines.forEach(({values}, place) => {
            const value = this.#keys[place]?.querySelector('b');
            if (value) value.textContent = this.format(values[index] ?? null);
        });
    }

    #summary({label, values}) {
        const [low, high] = spread(values);
        return `${label} ${this.format(values.at(-1) ?? null)}, lowest ${this.format(low)}, highest ${this.format(high)}`;
    }

    #fillTable() {
        fill(this.table, table(['Line', 'Now', 'Lowest', 'Highest', 'Mean'], this.#lines.map(({label, values}) => [label, ...[values.at(-1) ?? null, ...spread(values)].map(this.format)]), {numbers: 1}));
    }

    #resize() {
        if (this.#uplot && this.canvas.clientWidth) this.#uplot.setSize({width: this.canvas.clientWidth, height: HEIGHT});
    }
}

/** The lowest, the highest and the mean of the values that there are. */
function spread(values) {
    const known = values.filter((value) => value !== null && value !== undefined);
    if (!known.length) return [null, null, null];
    return [Math.min(...known), Math.max(...known), known.reduce((sum, value) => sum + value, 0) / known.length];
}

/** The colour of a line, for its key. */
function colourOf(index) {
    return `--line-colour: var(--plot-${index % COLOURS + 1})`;
}

/** The time of a point, as exactly as steps of so many seconds need it. */
function clock(seconds, step) {
    const date = new Date(seconds * 1000);
    if (step >= 86400) return date.toLocaleDateString('en', {month: 'short', day: 'numeric'});
    return time(date).slice(0, step >= 60 ? 5 : 8);
}
