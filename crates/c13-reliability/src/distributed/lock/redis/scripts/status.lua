-- Says who has a lock.
-- KEYS  the lock, its record, its shared holders, its queue
-- Gives {owners, of a bounded number and length, ms until it lapses or -1, fence or '0', waiting}.
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local holder = redis.call('GET', KEYS[1])
-- What a stranger may have written there.
local longest, most = 256, 256
local owners = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ms, '+inf', 'LIMIT', 0, most)
local lapses = -1
if holder then
  owners = {holder}
  lapses = redis.call('PTTL', KEYS[1])
elseif #owners > 0 then
  lapses = tonumber(redis.call('ZSCORE', KEYS[3], owners[1])) - ms
end
for i = 1, #owners do owners[i] = string.sub(owners[i], 1, longest) end
local fence = tonumber(redis.call('ZSCORE', KEYS[2], 'fence') or 0)
return {owners, lapses, string.format('%.0f', fence), redis.call('ZCARD', KEYS[4])}
