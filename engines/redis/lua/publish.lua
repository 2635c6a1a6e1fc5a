-- Adds a publication to the history of its channel and publishes it.
--
-- KEYS[1] - list of the history
-- KEYS[2] - hash of the epoch
-- ARGV[1] - pub/sub channel
-- ARGV[2] - the publication
-- ARGV[3] - how many publications the history holds
-- ARGV[4] - milliseconds until the whole history is dropped
-- ARGV[5] - "1": keep nothing when there is neither a subscriber nor a history
local function wanted()
    return ARGV[5] ~= '1'
        or redis.call('EXISTS', KEYS[1]) == 1
        or redis.call('PUBSUB', 'NUMSUB', ARGV[1])[2] > 0
end

if wanted() then
    local epoch = redis.call('HGET', KEYS[2], 'id')
    if not epoch then
        -- Somebody emptied the database while nodes were connected; the history went with it.
        local time = redis.call('TIME')
        epoch = string.format('%010d%06d', time[1], time[2])
        redis.call('HSET', KEYS[2], 'id', epoch)
    end
    redis.call('LPUSH', KEYS[1], epoch .. ARGV[2])
    redis.call('LTRIM', KEYS[1], 0, ARGV[3] - 1)
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
-- Last, so that what fails above is not delivered.
return redis.call('PUBLISH', ARGV[1], ARGV[2])
