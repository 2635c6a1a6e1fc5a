// The time that the plots of all pages show, and the choice of it.
import {choices} from './dom.js';

const STORED = 'gentrifugo.window';
const WINDOWS = {60: '1 min', 300: '5 min', 900: '15 min', 10800: '3 h', 86400: '24 h'};

/** The chosen seconds. */
export function shownTime() {
    const stored = localStorage.getItem(STORED);
    return WINDOWS[stored] ? Number(stored) : 900;
}

/** The choice; `onchange` is called after another one was made. */
export function windowChoice(onchange) {
    return choices('window', 'Time that the plots show', WINDOWS, shownTime(), (seconds) => {
        localStorage.setItem(STORED, seconds);
        onchange();
    });
}
