"""
The names of exchanges and queues. The broker makes them at its start, from the file
`images/rabbitmq/topology.json`, so that no service needs the right to.

Each queue has an exchange of its name: a right to write is one to an exchange, and with the default
exchange it would be one to every queue.
"""

TASK_QUEUE = "TASK_QUEUE"
RESULT_QUEUE = "RESULT_QUEUE"
RES_XCHG = "RES_XCHG"  # to RESULT_QUEUE, too
KEEP_ALIVE_QUEUE = "KEEP_ALIVE_QUEUE"
DEAD_LETTER_QUEUE = "DEAD_LETTER_QUEUE"
CONTROL_QUEUE = "CONTROL_QUEUE"
