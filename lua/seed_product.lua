-- Fills a cold gate with one part of its places, the last with the facts, if nothing happened since the part before.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[3] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[4] stayhold:{<product id>}:warm     STRING  nonce of the caller that is warming, and the parts written
-- KEYS[5] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1] nonce of the caller
-- ARGV[2] how many parts are written: 0 begins clean
-- ARGV[3] last: 1 makes the gate warm, 0: more parts follow
-- ARGV[4] time to live of the mark from here on, ms
-- ARGV[5] version of the facts
-- ARGV[6] stock, units
-- ARGV[7] sale start, ms
-- ARGV[8] check-in, ms
-- ARGV[9] active: 1 or 0
-- ARGV[10...] the places, four arguments each: user id, token, deadline in ms or +inf when confirmed, booking id
--
-- Returns:
--   1  written; places whose deadline has passed are left out
--   0  the gate is warm, or the mark is not the caller's any more; nothing changed

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
-- The mark counts the parts: after a failover that lost one of them, the rest is not written.
local parts = tonumber(ARGV[2])
local function mark(n) return n == 0 and ARGV[1] or ARGV[1] .. '/' .. n end
if redis.call('GET', KEYS[4]) ~= mark(parts) then return 0 end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Redis looks at its memory limit only until a script has written something: this write is refused beyond it.
redis.call('SET', KEYS[4], mark(parts + 1), 'PX', ARGV[4])
if parts == 0 then redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[5]) end

-- unpack takes some thousands of values at most, so the places are written 250 at a time.
local scores, tokens, bookings = {}, {}, {}
local function flush()
  if #scores == 0 then return end
  redis.call('ZADD', KEYS[2], unpack(scores))
  redis.call('HSET', KEYS[3], unpack(tokens))
  if #bookings > 0 then redis.call('HSET', KEYS[5], unpack(bookings)) end
  scores, tokens, bookings = {}, {}, {}
end
local function seed(user, token, deadline, booking)
  if deadline == '+inf' then
    bookings[#bookings + 1], bookings[#bookings + 2] = user, booking
  elseif tonumber(deadline) <= now then
    return
  end
  local n = #scores
  scores[n + 1], scores[n + 2] = deadline, user
  tokens[n + 1], tokens[n + 2] = user, token
  if n + 2 == 500 then flush() end
end
local first = 10
while ARGV[first] do
  seed(ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3])
  first = first + 4
end
flush()

-- The facts come last: until they stand, the gate is cold and seeding begins again.
if ARGV[3] == '0' then return 1 end
redis.call('HSET', KEYS[1], 'version', ARGV[5], 'stock', ARGV[6],
  'sale_start_ms', ARGV[7], 'check_in_ms', ARGV[8], 'active', ARGV[9])
redis.call('DEL', KEYS[4])
return 1
