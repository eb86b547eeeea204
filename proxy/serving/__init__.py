"""Serving: from the listening sockets to the last byte of the last answer, in one process or in many.

`listening` opens the sockets, `generation` serves one configuration on them and drains, `alone` does so in this
process, `worker` in one of many, which `supervisor` starts, replaces, renews and ends; `memory` says how either keeps
memory.
"""
