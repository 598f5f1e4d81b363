"""The grammar of augmentations: valid texts, and the errors of invalid ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.augmentation import OPERATIONS, PRESETS, Operation, augmentation_text, parse_augmentation
from model.errors import ConfigError
from model.received import quoted

MANY = 10_000


def numbers(name: str) -> st.SearchStrategy[float]:
    return st.floats(OPERATIONS[name].minimum, OPERATIONS[name].maximum).map(lambda value: float(f"{value:g}"))


operations = st.lists(
    st.sampled_from(sorted(OPERATIONS)).flatmap(lambda name: st.builds(Operation, st.just(name), numbers(name)))
)


@given(operations)
def test_formatted_augmentations_are_parsed_to_the_same(chosen: list[Operation]) -> None:
    assert parse_augmentation(augmentation_text(chosen), MANY) == tuple(chosen)


@given(st.one_of(st.text(), st.text("|()., -+1e_" + "fliprotatecrp", max_size=30)))
def test_any_text_is_parsed_or_quoted_in_the_error(text: str) -> None:
    try:
        read = parse_augmentation(text, MANY)
    except ConfigError as error:
        assert error.message.startswith("augmentation: ")
        assert f"Received: {quoted(text)}." in error.message
    else:
        for operation in read:
            info = OPERATIONS[operation.name]
            assert info.minimum <= operation.number <= info.maximum


def test_omitted_numbers_have_defaults_and_blanks_are_ignored() -> None:
    assert parse_augmentation(" flip_lr | rotate( 30 ) ", MANY) == (Operation("flip_lr", 0.5), Operation("rotate", 30))


def test_presets_are_expanded_in_place() -> None:
    assert augmentation_text(parse_augmentation("flip_lr|light|blur(2)", MANY)) == (
        f"flip_lr(0.5)|{PRESETS['light']}|blur(2)"
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_and_has_no_flip(preset: str) -> None:
    names = {operation.name for operation in parse_augmentation(preset, MANY)}
    assert not names & {"flip_lr", "flip_ud"}
    assert bool(names) == (preset != "none")


def test_an_empty_text_is_no_augmentation() -> None:
    assert parse_augmentation("", MANY) == parse_augmentation("none", MANY) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rotat(15)", "Did you mean rotate?"),
        ("strnog", "Did you mean strong?"),
        ("zzz", "expected one of the operations flip_lr, flip_ud, rotate, crop, color, blur, noise, cutout or the"),
        (
            "rotate(200)",
            "rotate: expected a number from 0 to 180 (maximum rotation in degrees, in either direction), found 200.",
        ),
        ("crop(-0.5)", "crop: expected a number from 0.1 to 1"),
        ("noise(much)", "found 'much'"),
        ("noise(nan)", "noise: expected a number from 0 to 1"),
        ("noise()", "noise: expected a number from 0 to 1"),
        ("light(2)", "light is a preset, which takes no number"),
        ("flip_lr||blur", "expected steps separated by |, such as flip_lr|rotate(15)|crop(0.8), found ''"),
        ("flip_lr|", "found ''"),
        ("rotate(1(2))", "expected steps separated by |"),
        ("rotate, blur", "expected steps separated by |"),
    ],
)
def test_the_error_of_an_invalid_text_states_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_augmentation(text, MANY)
    assert said in refused.value.message


def test_all_invalid_operations_are_reported_together() -> None:
    with pytest.raises(ConfigError) as refused:
        parse_augmentation("rotat(15)|crop(2)|blur(1)", MANY)
    assert "rotate?" in refused.value.message and "crop: expected" in refused.value.message


@pytest.mark.parametrize(
    ("images_per_class", "preset"), [(17, "strong"), (49.9, "strong"), (50, "light"), (500, "none")]
)
def test_auto_depends_on_the_number_of_images_per_class(images_per_class: float, preset: str) -> None:
    assert parse_augmentation("auto", images_per_class) == parse_augmentation(preset, images_per_class)
