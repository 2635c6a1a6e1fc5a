// The same commands for a terminal: with curl, and with the Python client.
import {parse} from './json.js';

function urlOf(config, path) {
    const host = config?.admin_port ? `${location.hostname}:${config.api_port || config.port}` : location.host;
    return `${config?.admin_port ? 'http:' : location.protocol}//${host}${config?.http_prefix ?? ''}${path}`;
}

const typed = (json) => json.replace(/[\x7f-\x9f]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`); // which a terminal takes for keys

/** The request with curl, with the signature computed by openssl. `params` is JSON text, and goes as it is spelt, but for keys of a terminal. */
export function curlCommand(method, params, config) {
    const body = typed(`{"method": ${JSON.stringify(method)}, "params": ${params}}`);
    parse(body);
    const lines = [`BODY='${body.replaceAll("'", `'\\''`)}'`];
    if (!config?.insecure_api) lines.push(`SIGN=$(printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d ' ' -f 1)`);
    lines.push(`curl --fail-with-body -H 'Content-Type: application/json' ${config?.insecure_api ? '' : '-H "X-API-Sign: $SIGN" '}--data-binary "$BODY" ${urlOf(config, '/api/')}`);
    return (config?.insecure_api ? '' : '# SECRET is the option secret of the server\n') + lines.join('\n');
}

/** The call with gentrifugo.Client. `values` are JSON texts, in the order of the method's parameters. */
export function pythonCode(method, values, config) {
    const shown = values.map(typed).map((text) => (/^["[]/.test(text) && !/\\|\b(true|false|null)\b/.test(text) ? text : `json.loads(${JSON.stringify(text)})`));
    return `${shown.some((text) => text.startsWith('json.')) ? 'import json\n' : ''}import os

from gentrifugo import Client

# SECRET is the option secret of the server
with Client(${JSON.stringify(urlOf(config, ''))}, secret=os.environ["SECRET"]) as client:
    print(client.v1.${method}(${shown.join(', ')}))`;
}
