// Asks the test's application for a token, as the getToken of a page does.
'use strict';

async function ask(url, body) {
    const response = await fetch(url, {method: 'POST', body: JSON.stringify(body)});
    if (!response.ok) {
        throw new Error(`status ${response.status}`);
    }
    return (await response.json()).token;
}

module.exports = {ask};
