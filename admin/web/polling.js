// Asking the server again and again while a page is shown.

/** Calls `load` with each call of `again`, and from its end on every `interval` milliseconds, until `stop`. `load` gets a function that tells whether its answer is still wanted, and may return another interval. */
export function polling(load, interval = 3000) {
    let timer = 0, current = 0;
    async function again() {
        if (current === null) return;
        clearTimeout(timer);
        const own = current += 1, isWanted = () => own === current;
        let pause = null;
        try {
            pause = await load(isWanted);
        } finally {
            if (isWanted()) timer = setTimeout(again, pause ?? interval);
        }
    }
    return {again, stop() { clearTimeout(timer); current = null; }};
}
