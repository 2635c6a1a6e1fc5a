// Formats numbers, sizes and times for display. `steps` are the distances of the lines in a plot.

const DECADES = Array.from({length: 13}, (_, exponent) => [1, 2, 5].map((digit) => digit * 10 ** exponent)).flat();

/** A format of numbers, which shows `–` for one that is not known. */
function format(show, steps) {
    return Object.assign((value) => (value === null || value === undefined ? '–' : show(value)), {steps});
}

/** 12,345 or 1.2 M. */
export const count = format((value) => {
    if (value >= 1e6) return `${(value / 1e6).toFixed(value >= 1e7 ? 0 : 1)} M`;
    if (value !== Math.round(value)) return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value < 1 ? 2 : 1);
    return value.toLocaleString('en');
}, DECADES);

/** 34.5 MB. */
export const bytes = format((value) => {
    const units = ['B', 'KB', 'MB', 'GB', 'TB'];
    let unit = 0;
    while (value >= 1000 && unit < units.length - 1) {
        value /= 1024;
        unit += 1;
    }
    return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}, Array.from({length: 45}, (_, exponent) => 2 ** exponent));

/** 250 µs, 1.2 ms. */
export const microseconds = format((value) => {
    if (value < 1000) return `${Math.round(value)} µs`;
    return value < 1e6 ? `${(value / 1000).toFixed(1)} ms` : `${(value / 1e6).toFixed(1)} s`;
}, DECADES);

/** 12 %. */
export const percent = format((value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} %`, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000]);

/** 3 d 4 h. */
export function duration(seconds) {
    const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
    const first = parts.findIndex(([size]) => seconds >= size);
    if (first < 0) return '0 s';
    const [size, unit] = parts[first];
    const rest = parts[first + 1];
    const whole = Math.floor(seconds / size);
    const left = rest ? Math.floor((seconds % size) / rest[0]) : 0;
    return `${whole} ${unit}${left && first < 2 ? ` ${left} ${rest[1]}` : ''}`;
}

/** 14:03:59. */
export function time(date) {
    return date.toTimeString().slice(0, 8);
}
