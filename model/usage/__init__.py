"""Usage statistics of the service: counts of bounded size about its requests and predictions; no image is kept.

    models/.monitor/
        lock                        held (`model.locks`) while a file is changed
        <model>/<version>/          a version of a model: each manifest is another version
            2026-11-21.json         counts of that day in UTC (`model.usage.record.Record`)
            drift.json              result of the last drift check (`model.usage.drift_check`)
        .requests/                  requests for which no model was found

Each worker counts in memory and adds new counts to the file of the day every few seconds: a worker that is killed
loses these seconds and leaves no file behind. Readers need no lock, since files are replaced as a whole.
"""
