-- The common first part of the scripts that use the stream of a channel: functions for its top.
--
-- KEYS[1] - list of the publications that are kept, newest first; their offsets are consecutive
-- KEYS[2] - string, the top: the epoch of the stream (26 characters), then the offset of the newest publication. If a
--           publication had a version, the last version follows: a colon, the version (20 digits), and its epoch.
-- KEYS[3] - hash of the epoch of the server
local call, sub = redis.call, string.sub

-- Returns an epoch that no stream has had before: it begins with the epoch of the server (16 digits).
local function new_epoch(id)
    return id .. string.format('%010x', call('HINCRBY', KEYS[3], 'streams', 1))
end

-- Returns the epoch of the server, and epoch and offset of the stream; nil and 0 if there is no stream. The last result
-- is the end of the top, from the colon before the last version on; empty without a version.
local function find_top()
    local id = call('HGET', KEYS[3], 'id')
    if not id then
        -- The database was emptied while nodes were connected, so the streams are deleted too.
        local time = call('TIME')
        id = string.format('%010d%06d', time[1], time[2])
        call('HSET', KEYS[3], 'id', id)
    end
    local top = call('GET', KEYS[2])
    if not top then
        return id, nil, 0, ''
    end
    local colon = string.find(top, ':', 27, true) or #top + 1
    local epoch, offset, version = sub(top, 1, 26), tonumber(sub(top, 27, colon - 1)), sub(top, colon)
    if sub(top, 1, 16) ~= id then
        -- The server was restarted or promoted: its newest publications may be missing. The offsets continue.
        epoch = new_epoch(id)
        call('SET', KEYS[2], epoch .. string.format('%.0f', offset) .. version, 'KEEPTTL')
    end
    return id, epoch, offset, version
end

-- Returns the epoch of a new stream. Deletes publications without a top, which Redis may have evicted.
local function begin_stream(id)
    call('DEL', KEYS[1])
    return new_epoch(id)
end
