-- Forgets a client in a channel.
--
-- KEYS[1] - sorted set of clients by the millisecond in which their presence ends
-- KEYS[2] - hash of who they are
-- ARGV[1] - client
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
