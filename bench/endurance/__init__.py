"""The endurance run: mixed load for half an hour, and a verdict on memory, descriptors, tasks and errors.

| module | what |
|---|---|
| `goods.py` | what the upstream has at which moment, so that clients can tell right from wrong |
| `moody.py` | the upstream, in a mood that can be set |
| `timeline.py` | which mood when, and what else happens to the server |
| `ask.py`, `polite.py`, `rude.py` | the clients: one question each, those that behave, those that do not |
| `watch.py` | what the server's processes occupy, and what it says of itself |
| `journal.py` | what the server's log says |
| `verdict.py`, `report.py` | the verdict; the page and the picture |
"""
