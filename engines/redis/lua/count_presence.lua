-- Returns how many clients are in a channel, without those whose presence has expired.
--
-- KEYS[1] - sorted set of clients by the time in milliseconds when their presence expires
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf')
