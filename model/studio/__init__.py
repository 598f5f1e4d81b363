"""The studio: a web application that takes users from photos to a trained and shared model, in the browser.

server.py     the application: static files, headers, errors
access.py     who may use it: one-time links, sessions in a cookie, a password
exposure.py   the addresses on which it may listen, and what that exposes
events.py     events for the open pages, as server-sent events
watching.py   changes of the workspace by any process, reported as events
overview.py   datasets, models and trainings of the workspace
tasks.py      long work in child processes; work.py is what they do
preparation.py  backbones converted before the first training
starting.py   the work of the command `topgraft studio`
routes/       requests of the views; a thin layer over the library

All state is on disk: a studio that is killed and started again shows the same.
"""
