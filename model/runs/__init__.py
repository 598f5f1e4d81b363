"""Trainings from start to end: starting, queue, child process, status, resuming and stopping.

    models/.running/<name>/
        status.json   its state and progress (`model.results.TrainingStatus`)
        config.json   all its options
        lock          held by the training process (`model.locks`): it has ended if the lock is free
        curves.jsonl  the metrics of each epoch (`model.runs.curves`)
        log.txt       the log, if it runs in a child process
        work/         checkpoints and other files that a resumed training reuses
        bundle/       the model being written; renamed to models/<name>/ at the end

A lock, not a pid, shows whether a training is alive: the system frees it however the process ends, and
reuses its pid for other processes. Without locks see `model.locks`. See `model.results.State` for the states.
"""

from model.runs.listing import (
    interrupted_trainings,
    process_of,
    queued_trainings,
    remove_interrupted,
    running_trainings,
    unfinished_trainings,
)
from model.runs.queue import wait_in_queue
from model.runs.resumption import finished, runs_to_resume
from model.runs.run import BUNDLE, CONFIG, LOCK, LOG, STATUS, WORK, Run, read_config
from model.runs.starting import adopt, resume_run, start_import, start_or_resume, start_run

__all__ = [
    "BUNDLE",
    "CONFIG",
    "LOCK",
    "LOG",
    "STATUS",
    "WORK",
    "Run",
    "adopt",
    "finished",
    "interrupted_trainings",
    "process_of",
    "queued_trainings",
    "read_config",
    "remove_interrupted",
    "resume_run",
    "running_trainings",
    "runs_to_resume",
    "start_import",
    "start_or_resume",
    "start_run",
    "unfinished_trainings",
    "wait_in_queue",
]
