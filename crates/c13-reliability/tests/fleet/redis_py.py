"""Takes a lock with redis-py's own Lock again and again, and tells the referee when it is inside.

Arguments: the server's URL, the key, the referee's port, for how many seconds. Prints how often it had the lock.
"""

import random
import socket
import sys
import time

import redis

url, key, port, seconds = sys.argv[1:]
referee = socket.create_connection(("127.0.0.1", int(port)))
referee.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def say(what):
    referee.sendall(what)
    if referee.recv(1) != b"k":
        sys.exit("somebody else was inside")


lock = redis.Redis.from_url(url).lock(key, timeout=10, sleep=0.001)
end = time.monotonic() + float(seconds)
had = 0
while time.monotonic() < end:
    if not lock.acquire(blocking_timeout=5):
        continue
    say(b"+")
    say(b"-")
    # Raises if the lock was somebody else's by now.
    lock.release()
    had += 1
    time.sleep(random.random() * 0.002)
print(had)
