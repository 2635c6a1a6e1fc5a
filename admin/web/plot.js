// Plots with uPlot from vendor/; without it the page shows a note, and the numbers above the plots.
import {fill, h} from './dom.js';

let library = null;

/** uPlot, or null where it is not installed. */
export async function loadPlots() {
    library ??= import('./vendor/uplot/uPlot.esm.js').then((module) => {
        document.head.append(h('link', {rel: 'stylesheet', href: 'vendor/uplot/uPlot.min.css'}));
        return module.default;
    }, () => null);
    return library;
}

const HEIGHT = 150;
const COLOURS = ['--plot-1', '--plot-2', '--plot-3', '--plot-4', '--plot-5', '--plot-6', '--plot-7', '--plot-8'];

/** One plot. `lines()` returns [{label, values}], `times()` their times. */
export class Plot {
    constructor(title, times, lines, format, {most = null} = {}) {
        this.title = title;
        this.times = times;
        this.lines = lines;
        this.format = format;
        this.most = most;
        this.figure = h('span', {class: 'figure'}, '–');
        this.canvas = h('div', {class: 'plot'});
        this.legend = h('div', {class: 'legend'});
        this.element = h('section', {class: 'card plot-card', 'aria-label': title},
            h('header', {}, h('h3', {}, title), this.figure), this.canvas, this.legend);
        this.observer = new ResizeObserver(() => this.resize());
        this.observer.observe(this.canvas);
        this.drawn = null;
        this.drawnLabels = '';
    }

    async update() {
        const lines = this.lines();
        const last = lines.map(({values}) => values.at(-1) ?? null);
        const shown = last.filter((value) => value !== null);
        this.figure.textContent = shown.length ? this.format(this.most ? Math.max(...shown) : shown[0]) : '–';
        const UPlot = await loadPlots();
        if (!UPlot) {
            fill(this.canvas, h('p', {class: 'hint'}, 'No plot: uPlot is not installed (make install).'));
            return;
        }
        const labels = lines.map(({label}) => label).join('\n') + document.documentElement.dataset.theme;
        const data = [this.times(), ...lines.map(({values}) => values)];
        if (labels !== this.drawnLabels) this.#draw(UPlot, lines, data);
        else this.drawn.setData(data);
        this.drawnLabels = labels;
        if (lines.length > 1) {
            fill(this.legend, lines.map(({label}, index) => h('span', {class: `key key-${index % COLOURS.length + 1}`}, label,
                h('b', {}, this.format(last[index])))));
        } else {
            this.legend.replaceChildren();
        }
    }

    #draw(UPlot, lines, data) {
        this.drawn?.destroy();
        const style = getComputedStyle(document.documentElement);
        const colour = (name) => style.getPropertyValue(name).trim();
        const axis = {stroke: colour('--faint'), grid: {stroke: colour('--line'), width: 1}, ticks: {show: false}, font: '11px system-ui, sans-serif'};
        this.drawn = new UPlot({
            width: this.canvas.clientWidth || 300,
            height: HEIGHT,
            padding: [10, 30, 0, 0],
            legend: {show: false},
            cursor: {y: false, drag: {x: false, y: false}},
            scales: {y: {range: (self, low, high) => [0, high > 0 ? high * 1.1 : 1]}},
            axes: [
                {...axis, space: 90, size: 26, values: [[1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]]},
                {...axis, size: 62, space: 34, values: (self, values) => values.map((value) => this.format(value))},
            ],
            series: [{}, ...lines.map(({label}, index) => {
                const stroke = colour(COLOURS[index % COLOURS.length]);
                return {label, stroke, width: 1.6, fill: lines.length === 1 ? `${stroke}22` : undefined, points: {show: false}};
            })],
        }, data, this.canvas);
    }

    resize() {
        if (this.drawn && this.canvas.clientWidth) this.drawn.setSize({width: this.canvas.clientWidth, height: HEIGHT});
    }

    destroy() {
        this.observer.disconnect();
        this.drawn?.destroy();
        this.drawn = null;
        this.drawnLabels = '';
    }
}
