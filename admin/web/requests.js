// The same commands for a terminal: with curl, and with the Python client.
import {parse} from './json.js';

function urlOf(config, path) {
    const host = config?.admin_port ? `${location.hostname}:${config.api_port || config.port}` : location.host;
    return `${config?.admin_port ? 'http:' : location.protocol}//${host}${config?.http_prefix ?? ''}${path}`;
}

const typed = (json) => json.replace(/[\x7f-\x9f]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`); // which a terminal takes for keys

const BY_KEY = ['publish', 'broadcast', 'presence', 'history', 'channels', 'unsubscribe', 'disconnect'];

/** Whether the server takes a command with its API key: a method of the API of later versions. */
export function takesKey(method, config) {
    return BY_KEY.includes(method) && Boolean(config?.api_key || config?.insecure_api);
}

const quoted = (body) => `'${body.replaceAll("'", `'\\''`)}'`;

/** The request with curl and the API key. `params` is JSON text, and goes as it is spelt, but for keys of a terminal. */
export function curlCommand(method, params, config) {
    const body = typed(method === 'history' ? params.replace(/\}$/, ', "limit": -1, "reverse": true}') : params);
    parse(body);
    const key = config?.insecure_api ? ['', ''] : ['# API_KEY is the option api_key of the server\n', '-H "X-API-Key: $API_KEY" '];
    return `${key[0]}curl --fail-with-body ${key[1]}--data-binary ${quoted(body)} ${urlOf(config, `/api/${method}`)}`;
}

/** The request to the API of v1 with curl, with the signature computed by openssl. */
export function signedCurlCommand(method, params, config) {
    const body = typed(`{"method": ${JSON.stringify(method)}, "params": ${params}}`);
    parse(body);
    const lines = [`BODY=${quoted(body)}`];
    if (!config?.insecure_api) lines.push(`SIGN=$(printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d ' ' -f 1)`);
    lines.push(`curl --fail-with-body -H 'Content-Type: application/json' ${config?.insecure_api ? '' : '-H "X-API-Sign: $SIGN" '}--data-binary "$BODY" ${urlOf(config, '/api/')}`);
    return (config?.insecure_api ? '' : '# SECRET is the option secret of the server\n') + lines.join('\n');
}

/** The call with gentrifugo.Client. `values` are JSON texts, in the order of the method's parameters. */
export function pythonCode(method, values, config) {
    const shown = values.map(typed).map((text) => (/^["[]/.test(text) && !/\\|\b(true|false|null)\b/.test(text) ? text : `json.loads(${JSON.stringify(text)})`));
    const byKey = takesKey(method, config) && Boolean(config.api_key);
    const [name, option] = byKey ? ['api_key', 'API_KEY'] : ['secret', 'SECRET'];
    const last = method === 'history' && byKey ? ['limit=-1', 'reverse=True'] : [];
    return `${shown.some((text) => text.startsWith('json.')) ? 'import json\n' : ''}import os

from gentrifugo import Client

# ${option} is the option ${name} of the server
with Client(${JSON.stringify(urlOf(config, ''))}, ${name}=os.environ["${option}"]) as client:
    print(client.${byKey ? '' : 'v1.'}${method}(${[...shown, ...last].join(', ')}))`;
}
