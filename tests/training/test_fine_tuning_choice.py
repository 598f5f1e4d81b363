"""The choice of `fine_tune = auto` by number of images and available time."""

import dataclasses
import math
import time

import pytest

from model.results import InputSpec
from model.training.deadline import NO_DEADLINE, Deadline
from model.training.fine_tuning.automatic_choice import (
    Choice,
    Circumstances,
    choose_fine_tuning,
    estimated_seconds,
    leaving_time,
    measured_seconds_per_image,
    saved_choice,
)

MANY = Circumstances(
    images=2500,
    train_images=1800,
    val_images=350,
    classes=10,
    views=1,
    epochs=10,
    seconds_per_image=0.02,
    gpu=False,
    seconds_left=math.inf,
)


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({}, "all", "enough for the whole backbone"),
        ({"val_images": 12}, "none", "12 validation images are too few"),
        ({"train_images": 100}, "none", "10 training images per class are too few"),
        ({"train_images": 136, "classes": 8, "val_images": 24}, "all", "17 per class"),
        ({"train_images": 90, "classes": 5}, "top", "18 per class: are too few for the whole backbone"),
        ({"seconds_left": 900}, "top", "the whole backbone may take"),
        ({"seconds_left": 900, "gpu": True}, "all", "of 15.0 minutes"),
        ({"seconds_left": 120}, "none", "even its last block may take"),
        ({"train_images": 100_000, "images": 130_000, "val_images": 15_000}, "none", "of 60.0 minutes"),
        ({"train_images": 20_000, "images": 26_000, "val_images": 3_000, "gpu": True}, "all", "20,000 training images"),
        ({"views": 9, "seconds_left": 1500}, "none", "even its last block"),
    ],
    ids=str,
)
def test_the_choice_depends_on_images_and_time(changes, expected, reason):
    choice = choose_fine_tuning(dataclasses.replace(MANY, **changes))
    assert choice.fine_tune == expected and reason in choice.reason


@pytest.mark.parametrize("seconds_left", [60, 200, 500, 1000, 3000, 10_000])
@pytest.mark.parametrize("gpu", [False, True])
def test_the_choice_fits_into_the_time_left(seconds_left, gpu):
    given = dataclasses.replace(MANY, seconds_left=seconds_left, gpu=gpu)
    choice = choose_fine_tuning(given)
    assert choice.fine_tune == "none" or estimated_seconds(given, choice.fine_tune) < seconds_left


def test_fine_tuning_ends_early_enough_to_finish_the_model():
    assert leaving_time(NO_DEADLINE, 100) == NO_DEADLINE
    in_ten_minutes = Deadline(time.monotonic() + 600)
    assert leaving_time(in_ten_minutes, 100).moment == in_ten_minutes.moment - 100
    in_a_minute = Deadline(time.monotonic() + 60)
    assert leaving_time(in_a_minute, 100).seconds_left() == pytest.approx(30, abs=1)


def test_a_choice_is_made_once(tmp_path):
    first = saved_choice(tmp_path / "choice.json", lambda: Choice("top", "so it was"))
    assert saved_choice(tmp_path / "choice.json", lambda: Choice("all", "things have changed")) == first


def test_the_speed_of_a_backbone_is_measured_per_image():
    assert measured_seconds_per_image(lambda images: time.sleep(0.08) or images, InputSpec.square(8)) == pytest.approx(
        0.01, abs=0.005
    )
