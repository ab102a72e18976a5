-- Lists the holds of a product that last longer than a time from now; writes nothing.
--
-- KEYS[1] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[2] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- ARGV[1] the time, ms
-- ARGV[2] how many are listed at most, the longest first
--
-- Returns:
--   {user, token, expiry, booking, ...}  four values for each hold; expiry in ms; booking id, always 0

local time = redis.call('TIME')
local from = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '(+inf', from, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local holds = {}
for i = 1, #found, 2 do
  local n = #holds
  holds[n + 1], holds[n + 2], holds[n + 3] = found[i], redis.call('HGET', KEYS[2], found[i]), found[i + 1]
  holds[n + 4] = '0'
end
return holds
