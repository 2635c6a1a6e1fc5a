-- Adds a publication to the stream of its channel and publishes it. Begins with stream_top.lua.
--
-- KEYS[4] - string: the result of this script for the idempotency key; only with a condition
-- ARGV[1] - pub/sub channel
-- ARGV[2] - the publication without its last two fields, offset and epoch
-- ARGV[3] - how many publications the history holds; "0" to keep nothing
-- ARGV[4] - milliseconds until the whole history is dropped
-- ARGV[5] - milliseconds until the top of the stream is dropped
-- ARGV[6] - "1": keep nothing when there is neither a subscriber nor a history
-- ARGV[7] - milliseconds for which to keep the result for the idempotency key; "0" without a key
-- ARGV[8] - version (20 digits), or empty
-- ARGV[9] - epoch of the version
--
-- Returns epoch and offset of the publication as one text, which is empty if it is not kept. If a condition has
-- suppressed the publication, returns an array with the text that an earlier publish has returned or would return now.
local NOT_KEPT = '\0\160' -- the fields offset and epoch: 0 and an empty text
local size = tonumber(ARGV[3])

if KEYS[4] and ARGV[7] ~= '0' then
    local earlier = call('GET', KEYS[4])
    if earlier then
        return {earlier}
    end
end

local result, position = '', NOT_KEPT
if size > 0 then
    local id, epoch, offset, last = find_top()
    if KEYS[4] and ARGV[8] ~= '' then
        local comparable = last ~= '' and (ARGV[9] == '' or ARGV[9] == sub(last, 22))
        if comparable and ARGV[8] <= sub(last, 2, 21) then
            return {epoch .. string.format('%.0f', offset)}
        end
        last = ':' .. ARGV[8] .. ARGV[9]
    end
    local kept = ARGV[6] ~= '1'
        or call('EXISTS', KEYS[1]) == 1
        or call('PUBSUB', 'NUMSUB', ARGV[1])[2] > 0
    -- If there is a stream, a publication that is not kept takes an offset too, so that subscribers notice the gap.
    if kept or epoch then
        epoch = epoch or begin_stream(id)
        offset = offset + 1
        position = cmsgpack.pack(offset, epoch)
        result = epoch .. string.format('%.0f', offset)
        call('SET', KEYS[2], result .. last, 'PX', ARGV[5])
    end
    if kept then
        if call('LPUSH', KEYS[1], ARGV[2] .. position) > size then
            call('LTRIM', KEYS[1], 0, size - 1)
        end
        call('PEXPIRE', KEYS[1], ARGV[4])
    end
end

if KEYS[4] and ARGV[7] ~= '0' then
    call('SET', KEYS[4], result, 'PX', ARGV[7])
end
-- Publishing is last, so that nothing is delivered if a command above fails.
call('PUBLISH', ARGV[1], ARGV[2] .. position)
return result
