-- Leaves a reconcile mark for each user; whatever happens to his place deletes it.
--
-- KEYS[1] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce
-- ARGV[1] nonce of the caller
-- ARGV[2] time to live of all marks, ms
-- ARGV[3...] the user ids
--
-- Returns:
--   1  marked

local chunk = {}
local first = 3
while ARGV[first] do
  chunk[#chunk + 1] = ARGV[first]
  chunk[#chunk + 1] = ARGV[1]
  first = first + 1
  -- unpack takes some thousands of values at most.
  if #chunk == 1000 or not ARGV[first] then
    redis.call('HSET', KEYS[1], unpack(chunk))
    chunk = {}
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
