"""How one gevent process behaves: timers, yielding, CPU time, limits of the system, logging without floods."""
