-- Announces that the caller is about to read the database for a cold gate.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:warm     STRING  nonce of the caller that is warming
-- ARGV[1] nonce of the caller
-- ARGV[2] time to live of the mark, ms
--
-- Returns:
--   1  the mark is the caller's
--   0  the gate is warm, or another caller's mark stands

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local standing = redis.call('GET', KEYS[2])
if standing and standing ~= ARGV[1] then return 0 end
-- A mark of the caller's own stands if the first reply was lost: its age does not start anew.
if not standing then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) end
return 1
