-- Raises the fence of held locks above a floor.
-- KEYS  four a lock: the lock, its record, its shared holders, its queue
-- ARGV  1 owner  2 lease ms  3 record ms  4 slots: -1 exclusive  5 floor
-- Gives the new fence, '0' if no greater one is left, or nothing if a lock is not the owner's.
local owner, keep, exclusive = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]) < 0
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local fence = tonumber(ARGV[5])
for i = 1, #KEYS, 4 do
  if exclusive then
    if redis.call('GET', KEYS[i]) ~= owner then return false end
  else
    local lapses = redis.call('ZSCORE', KEYS[i + 2], owner)
    if not lapses or tonumber(lapses) <= math.floor(us / 1000) then return false end
  end
  fence = math.max(fence, tonumber(redis.call('ZSCORE', KEYS[i + 1], 'fence') or 0))
end
fence = math.max(fence + 1, us)
-- From 2^53 on, a number and the next one are the same.
if fence > 9007199254740991 then return '0' end
for i = 1, #KEYS, 4 do
  redis.call('ZADD', KEYS[i + 1], string.format('%.0f', fence), 'fence')
  redis.call('PEXPIRE', KEYS[i + 1], math.max(keep, redis.call('PTTL', KEYS[i + 1])))
end
return string.format('%.0f', fence)
