-- Reads a part of the stream of a channel. Begins with stream_top.lua.
--
-- ARGV[1] - minimum milliseconds for which the top of the stream is kept
-- ARGV[2] - "1" to return the newest publication too
-- ARGV[3] - offset after (or, in reverse, before) which to read; or empty
-- ARGV[4] - epoch of that offset; empty for the current one
-- ARGV[5] - maximum number of publications; negative for all
-- ARGV[6] - "recover": all after ARGV[3], or none if one of them is missing or there are too many;
--           "forward": oldest first, those after ARGV[3]; "reverse": newest first, those before ARGV[3]
--
-- Returns the epoch; the offset as text; the newest publication or nothing; 1 if ARGV[3] is a position of this epoch
-- and, for recovery, no publication after it is missing, otherwise 0; and the publications, newest first.
local id, epoch, top = find_top()
if not epoch then
    epoch = begin_stream(id)
    call('SET', KEYS[2], epoch .. '0', 'PX', ARGV[1])
elseif call('PTTL', KEYS[2]) < tonumber(ARGV[1]) then
    call('PEXPIRE', KEYS[2], ARGV[1])
end

local newest = ''
if ARGV[2] == '1' then
    newest = call('LINDEX', KEYS[1], 0) or ''
end

local since, limit = tonumber(ARGV[3]), tonumber(ARGV[5])
local function answer(valid, first, last)
    local entries = {}
    if first <= last then
        entries = call('LRANGE', KEYS[1], string.format('%.0f', top - last), string.format('%.0f', top - first))
    end
    return { epoch, string.format('%.0f', top), newest, valid, entries }
end

if since and ARGV[4] ~= '' and ARGV[4] ~= epoch then
    return answer(0, 1, 0)
end
if limit == 0 and ARGV[6] ~= 'recover' then
    return answer(1, 1, 0)
end

local first, last = top - call('LLEN', KEYS[1]) + 1, top
if ARGV[6] == 'recover' then
    if since > top or since + 1 < first or (limit >= 0 and top - since > limit) then
        return answer(0, 1, 0)
    end
    return answer(1, since + 1, top)
end
if ARGV[6] == 'reverse' then
    if since then
        last = math.min(last, since - 1)
    end
    if limit > 0 then
        first = math.max(first, last - limit + 1)
    end
else
    if since then
        first = math.max(first, since + 1)
    end
    if limit > 0 then
        last = math.min(last, first + limit - 1)
    end
end
return answer(1, first, last)
