-- Admits one user to one product and holds one unit for him, or says why not.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[3] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[4] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce
-- KEYS[5] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1] user id
-- ARGV[2] token of the new hold
-- ARGV[3] time to live of the new hold, ms
--
-- Returns, the first that applies:
--   {'COLD'}                      nothing is known of the product
--   {'INACTIVE'}                  it is not for sale
--   {'PURCHASED', booking}        the user's place is confirmed for that booking id (0: not known)
--   {'DUPLICATE', token, expiry}  the user has a live hold, until expiry (ms)
--   {'NOT_OPEN', start}           the sale opens at start (ms)
--   {'CLOSED'}                    the sale is over
--   {'SOLD_OUT', expiry}          no unit is free; the earliest live hold lapses at expiry (ms), inf: there is none
--   {'NEW', token, expiry}        held until expiry (ms)

local user, token = ARGV[1], ARGV[2]
-- A refusal too tells a running reconcile that its snapshot may be old. The hold is written first, since Redis
-- looks at its memory limit only until a script has written something.
local function answer(list)
  redis.call('HDEL', KEYS[4], user)
  return list
end

local facts = redis.call('HMGET', KEYS[1], 'active', 'check_in_ms', 'full_until')
if not facts[1] then return answer({'COLD'}) end
if facts[1] ~= '1' then return answer({'INACTIVE'}) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[2], user)
if expiry == 'inf' then return answer({'PURCHASED', redis.call('HGET', KEYS[5], user) or '0'}) end
if expiry and tonumber(expiry) > now then
  return answer({'DUPLICATE', redis.call('HGET', KEYS[3], user), expiry})
end

-- Known to be full until then: whatever frees a unit earlier deletes the field, and so do new facts. It was found in a
-- sale that had opened, and no clock that goes back shuts it again. Most buyers get no further: what only the others
-- need is not read for them.
local check_in, full = tonumber(facts[2]), facts[3]
if full and now < check_in and (full == 'inf' or tonumber(full) > now) then return answer({'SOLD_OUT', full}) end

local start, stock = unpack(redis.call('HMGET', KEYS[1], 'sale_start_ms', 'stock'))
if now < tonumber(start) then return answer({'NOT_OPEN', start}) end
if now >= check_in then return answer({'CLOSED'}) end

local lapsed = redis.call('ZCOUNT', KEYS[2], '-inf', now)
local live = redis.call('ZCARD', KEYS[2]) - lapsed
if live >= tonumber(stock) then
  local first = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  full = first[2] or 'inf'
  redis.call('HSET', KEYS[1], 'full_until', full)
  return answer({'SOLD_OUT', full})
end

if expiry then lapsed = lapsed - 1 end -- his own lives again
expiry = string.format('%.0f', now + ARGV[3])
redis.call('ZADD', KEYS[2], expiry, user)
redis.call('HSET', KEYS[3], user, token)
-- At most 16 at a time: the count is right without it, and nobody waits for a crowd that lapsed at once. They are
-- the first of the set: removed by rank, none has to be looked for.
local last = math.min(lapsed, 16) - 1
if last >= 0 then
  redis.call('HDEL', KEYS[3], unpack(redis.call('ZRANGE', KEYS[2], 0, last)))
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, last)
end
return answer({'NEW', token, expiry})
