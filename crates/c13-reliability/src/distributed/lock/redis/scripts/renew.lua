-- Begins an attempt's leases anew, if all of its locks are still its own. Never acquires.
-- KEYS  four a lock: the lock, its record, its shared holders, its queue
-- ARGV  1 owner  2 lease ms  3 record ms  4 slots: -1 exclusive
-- Gives 1 renewed | 0 not its own.
local owner, lease, exclusive = ARGV[1], ARGV[2], tonumber(ARGV[4]) < 0
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for i = 1, #KEYS, 4 do
  if exclusive then
    if redis.call('GET', KEYS[i]) ~= owner then return 0 end
  else
    local lapses = redis.call('ZSCORE', KEYS[i + 2], owner)
    if not lapses or tonumber(lapses) <= ms then return 0 end
  end
end
for i = 1, #KEYS, 4 do
  if exclusive then
    redis.call('PEXPIRE', KEYS[i], lease)
  else
    redis.call('ZADD', KEYS[i + 2], string.format('%.0f', ms + tonumber(lease)), owner)
    redis.call('PEXPIRE', KEYS[i + 2], math.max(tonumber(lease), redis.call('PTTL', KEYS[i + 2])))
  end
  redis.call('PEXPIRE', KEYS[i + 1], math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[i + 1])))
end
return 1
