"""Trainings under way: who may start, whose turn it is, what each is doing, and how it ended.

    models/.running/<name>/
        status.json   what it is doing (`model.results.TrainingStatus`)
        config.json   every option
        lock          held by the process that trains (`model.locks`): free means that it is gone
        work/         checkpoints, and what else a resumed training can use again
        bundle/       the model being written; renamed to models/<name>/ at the end

A lock, not a pid, shows whether a training is alive: the system frees it however the process ends, and
reuses its pid for other processes. Without locks see `model.locks`. The states are told in `model.results.State`.
"""

from model.runs.folder import BUNDLE, CONFIG, LOCK, STATUS, WORK, Reservation, read_config
from model.runs.listing import (
    interrupted_trainings,
    process_of,
    queued_trainings,
    remove_interrupted,
    running_trainings,
    unfinished_trainings,
)
from model.runs.queue import wait_for_turn
from model.runs.reservation import adopt, begin, reserve, reserve_again, reserve_import
from model.runs.resumption import finished, interrupted_to_go_on_with

__all__ = [
    "BUNDLE",
    "CONFIG",
    "LOCK",
    "STATUS",
    "WORK",
    "Reservation",
    "adopt",
    "begin",
    "finished",
    "interrupted_to_go_on_with",
    "interrupted_trainings",
    "process_of",
    "queued_trainings",
    "read_config",
    "remove_interrupted",
    "reserve",
    "reserve_again",
    "reserve_import",
    "running_trainings",
    "unfinished_trainings",
    "wait_for_turn",
]
