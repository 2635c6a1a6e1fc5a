-- Compares whether a channel has subscribers with its last report, and returns what to report.
--
-- KEYS[1] - set of the channels that were last reported as occupied
-- KEYS[2] - sorted set of the channels that are being reported, by the time in milliseconds when the lease ends
-- KEYS[3] - sorted set of the channels that a sweep found empty, by the time of the sweep in milliseconds
-- KEYS[4] - hash of the epoch, and of the epoch of KEYS[1]
-- KEYS[5] - set of the channels that were reported as occupied in earlier epochs, as far as the server has them
-- ARGV[1] - channel
-- ARGV[2] - name of its pub/sub channel
-- ARGV[3] - 1 if the calling node has subscribers, even if the server does not know of them now
-- ARGV[4] - maximum milliseconds of a report
-- ARGV[5] - the second value that this script returned, if that report has been made now; otherwise empty
-- ARGV[6] - the third value that this script returned when the calling node last compared as a subscriber;
--           empty if it never did
--
-- Returns 1 to report occupied, 0 to report vacated, -1 for no report; the end of the lease, as text; and the epoch.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
local ends = string.format('%.0f', now + ARGV[4])
local epochs = redis.call('HMGET', KEYS[4], 'id', 'occupied')
local epoch = epochs[1] or 'none'

if epochs[1] and epochs[2] ~= epoch then
    -- The server may have been started with old data, or promoted without the newest: no report is certain.
    if epochs[2] and redis.call('EXISTS', KEYS[1]) == 1 and redis.call('RENAMENX', KEYS[1], KEYS[5]) == 0 then
        redis.call('SUNIONSTORE', KEYS[5], KEYS[5], KEYS[1])
        redis.call('DEL', KEYS[1])
    end
    redis.call('HSET', KEYS[4], 'occupied', epoch)
end
local told = redis.call('SISMEMBER', KEYS[1], ARGV[1])
local told_before = told == 0 and redis.call('SISMEMBER', KEYS[5], ARGV[1]) == 1

if lease and string.format('%.0f', lease) == ARGV[5] then
    redis.call('ZREM', KEYS[2], ARGV[1])
elseif lease and tonumber(lease) > now then
    return { -1, '', epoch } -- the node that reports compares again after its report
elseif lease then
    -- A report was due, and may not have been made.
    if told_before then
        redis.call('SMOVE', KEYS[5], KEYS[1], ARGV[1])
        told = 1
    end
    redis.call('ZADD', KEYS[2], ends, ARGV[1])
    return { told, ends, epoch }
end

local occupied = (ARGV[3] == '1' or redis.call('PUBSUB', 'NUMSUB', ARGV[2])[2] > 0) and 1 or 0
redis.call('ZREM', KEYS[3], ARGV[1])
local doubtful = told == 0 and ARGV[6] ~= '' and ARGV[6] ~= epoch
if told_before then
    redis.call('SREM', KEYS[5], ARGV[1])
    if occupied == 1 and ARGV[6] ~= '' then
        -- There was a subscriber all the time, so the last report was that the channel is occupied.
        redis.call('SADD', KEYS[1], ARGV[1])
        return { -1, '', epoch }
    end
    doubtful = true
end
-- If it is not certain what was reported, the current state is reported, possibly for a second time.
if occupied == told and not doubtful then
    return { -1, '', epoch }
end
if occupied == 1 then
    redis.call('SADD', KEYS[1], ARGV[1])
else
    redis.call('SREM', KEYS[1], ARGV[1])
end
redis.call('ZADD', KEYS[2], ends, ARGV[1])
return { occupied, ends, epoch }
