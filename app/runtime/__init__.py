"""How one gevent process behaves: timers, yielding, CPU time, system limits, throttled logs, backoff."""
