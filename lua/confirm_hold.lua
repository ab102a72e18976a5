-- Makes a user's place permanent, if it is a live hold under the token.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[3] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[4] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce
-- KEYS[5] stayhold:{<product id>}:warm     STRING  nonce of the caller that is warming
-- KEYS[6] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1] user id
-- ARGV[2] token of the hold
-- ARGV[3] id of the booking that it is for
--
-- Returns:
--   'COLD'     nothing is known of the product; a warming that began earlier is void
--   'NOTHING'  the place is not held under the token, or confirmed already
--   'OK'       confirmed now

local user, token = ARGV[1], ARGV[2]
redis.call('HDEL', KEYS[4], user)

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[5])
  return 'COLD'
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[2], user)
if not expiry or expiry == 'inf' or tonumber(expiry) <= now or redis.call('HGET', KEYS[3], user) ~= token then
  return 'NOTHING'
end

-- Not refused when memory is short, since the mark was deleted first: the unit is sold, whatever the gate says.
redis.call('ZADD', KEYS[2], '+inf', user)
redis.call('HSET', KEYS[6], user, ARGV[3])
redis.call('HDEL', KEYS[1], 'full_until') -- it may be this hold that was to lapse first
return 'OK'
