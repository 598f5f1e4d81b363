"""What a service was asked and what it answered, in numbers of bounded size; no image is kept.

    models/.monitor/
        lock                        held (`model.locks`) while a file is changed
        <model>/<version>/          a model as it is now; another manifest is another version
            2026-11-21.json         what happened on that day (`model.usage.record.Record`), in UTC
            drift.json              whether its photos are still like those that it was made with
        .requests/                  requests for which no model was found

Each worker counts in memory and adds what is new to the file of the day every few seconds: a worker that is killed
loses these seconds and leaves nothing behind. Whoever reads needs no lock, since files are replaced whole.
"""
