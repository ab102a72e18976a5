-- Makes a hold last at least until a deadline, taking a free unit again if it has lapsed.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[3] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[4] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce
-- KEYS[5] stayhold:{<product id>}:warm     STRING  nonce of the caller that is warming
-- ARGV[1] user id
-- ARGV[2] token of the hold
-- ARGV[3] deadline, ms; a live hold never gets shorter
--
-- Returns:
--   'COLD'   nothing is known of the product; a warming that began earlier is void
--   'OTHER'  another live token stands in the user's place; nothing changed
--   'LOST'   the hold has lapsed, and no unit is free or the deadline has passed too
--   'OK'     held until the deadline or longer, or confirmed

local user, token, deadline = ARGV[1], ARGV[2], tonumber(ARGV[3])
-- Redis looks at its memory limit only until a script has written something: a unit is taken before any other
-- write, and so refused when memory is short; what takes none, goes on.
local function answer(code)
  redis.call('HDEL', KEYS[4], user)
  return code
end

local stock = redis.call('HGET', KEYS[1], 'stock')
if not stock then
  redis.call('DEL', KEYS[5])
  return answer('COLD')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[2], user)
if expiry and (expiry == 'inf' or tonumber(expiry) > now) then
  if redis.call('HGET', KEYS[3], user) ~= token then return answer('OTHER') end
  if expiry ~= 'inf' and tonumber(expiry) < deadline then
    redis.call('HDEL', KEYS[1], 'full_until') -- it may be this hold that was to lapse first
    redis.call('ZADD', KEYS[2], ARGV[3], user)
  end
  return answer('OK')
end

local lapsed = redis.call('ZCOUNT', KEYS[2], '-inf', now)
local live = redis.call('ZCARD', KEYS[2]) - lapsed
if deadline <= now or live >= tonumber(stock) then return answer('LOST') end

if expiry then lapsed = lapsed - 1 end -- his own lives again
redis.call('ZADD', KEYS[2], ARGV[3], user)
redis.call('HSET', KEYS[3], user, token)
redis.call('HDEL', KEYS[1], 'full_until')
-- Cleared away as by place_hold: the first of the set, by rank.
local last = math.min(lapsed, 16) - 1
if last >= 0 then
  redis.call('HDEL', KEYS[3], unpack(redis.call('ZRANGE', KEYS[2], 0, last)))
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, last)
end
return answer('OK')
