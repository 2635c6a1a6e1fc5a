-- One step of a sweep: finds channels whose report was not completed before the lease expired.
--
-- KEYS[1] - sorted set of the channels that are being reported, by the time in milliseconds when the lease ends
-- ARGV[1] - cursor: 0 for the first step, then the value that this script returned
-- ARGV[2] - approximate number of channels in one step
--
-- Returns the next cursor, which is 0 at the end, and the channels.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = { step[1] }
for index = 1, #step[2], 2 do
    if tonumber(step[2][index + 1]) <= now then
        table.insert(found, step[2][index])
    end
end
return found
