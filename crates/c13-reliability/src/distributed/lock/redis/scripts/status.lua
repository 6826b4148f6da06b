-- Says who has a lock.
-- KEYS  the lock, its record, its shared holders, its queue
-- Gives {owners, of a bounded number and length, ms until it lapses or -1, fence or '0', waiting, holders as they describe
-- themselves with the microsecond of their grant}. Those of owners that are gone are among them, in so far as nobody has had
-- the lock since.
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
local told = redis.call('ZRANGEBYSCORE', KEYS[2], string.format('%.0f', ms * 100), '+inf', 'WITHSCORES', 'LIMIT', 0, 2 * most)
local holders = {}
for i = 1, #told, 2 do
  if string.sub(told[i], 1, 1) == '@' then holders[#holders + 1] = {string.sub(told[i], 1, longest), told[i + 1]} end
end
return {owners, lapses, string.format('%.0f', fence), redis.call('ZCARD', KEYS[4]), holders}
