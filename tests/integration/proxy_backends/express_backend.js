// A backend in Express that answers in the format of Centrifugo's proxy; it prints its port when it listens.
'use strict';

const express = require('express');

const app = express();
app.use(express.json());

app.post('/connect', (request, response) => {
    const {user} = request.body.data;
    if (user === 'mallory') {
        return response.json({disconnect: {code: 4501, reason: 'banned'}});
    }
    const name = user[0].toUpperCase() + user.slice(1);
    return response.json({result: {user, info: {name}, data: {hello: user}, channels: ['news']}});
});

app.post('/subscribe', (request, response) => {
    if (request.body.channel === 'chat:closed') {
        return response.json({error: {code: 403, message: 'members only'}});
    }
    return response.json({result: {info: {seat: 1}, data: {topic: request.body.channel}}});
});

app.post('/publish', (request, response) => {
    const {data, user} = request.body;
    if (data.text === 'bad') {
        return response.json({error: {code: 422, message: 'no such words'}});
    }
    return response.json({result: {data: {text: data.text.toUpperCase(), by: user}}});
});

app.post('/rpc', (request, response) => {
    if (request.body.method !== 'sum') {
        return response.json({error: {code: 404, message: 'no such method'}});
    }
    return response.json({result: {data: {sum: request.body.data.reduce((sum, number) => sum + number, 0)}}});
});

const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
