"""The model card: metrics with their intervals, escaped names, and unknown values marked as such."""

import dataclasses
import re
from collections import Counter

from markdown_it import MarkdownIt

from model.bundle import Bundle
from model.publishing.card import About, model_card


def test_the_card_states_classes_metrics_with_intervals_data_and_limits(bundle: Bundle) -> None:
    card = model_card(bundle.manifest, About(title="Colours of things", author="A. Person", license="CC-BY-4.0"))
    assert "Calibration error of the probabilities: 2.4 % (95 % interval 1.2 to 6.4) on these 40 photos." in card
    assert card.startswith("# Colours of things\n")
    assert "| accuracy | 0.875 | 0.739 to 0.945 |" in card
    assert "| balanced accuracy | 0.800 | unknown |" in card
    assert "Measured on 40 test photos" in card
    assert "| red | 30 | 10 | 13 |" in card and "| all | 90 | 30 | 39 |" in card
    assert "A. Person" in card and "CC-BY-4.0" in card
    assert "fewer than 20 photos: red, blue." in card
    assert "/data" not in card, "the path of the dataset on this machine is private"


def test_the_card_of_a_model_without_metrics_says_so(bundle: Bundle) -> None:
    unknown = dataclasses.replace(bundle.manifest, metrics={}, dataset={}, thresholds={}, train_config={}, versions={})
    card = model_card(unknown)
    assert "The accuracy of the model was not measured." in card and "The training data is unknown." in card


def test_class_names_are_escaped(bundle: Bundle) -> None:
    strange = ("<script>", "a|b", "[x](javascript:y)")
    card = model_card(dataclasses.replace(bundle.manifest, classes=strange, metrics={}))
    assert "<script>" not in card.replace("\\<script\\>", "")
    assert "a\\|b" in card and "\\[x\\]" in card


def test_a_hostile_manifest_adds_no_heading_link_html_or_code(bundle: Bundle) -> None:
    hostile = (
        "a\x1b[31m\n# x\n|`<script>1</script>`](http://x.example) ![i](//y) &lt; ~~s~~ <b> $x$ http://x.example "
        "www.x.example \u202e\U0001f468\u200d\U0001f52c"
    )
    metrics = bundle.manifest.metrics["test"]
    changes = {
        "classes": (hostile, "- item", "1. one", "# title", "--- "),
        "backbone": hostile,
        "created": hostile,
        "resize": hostile,
        "versions": {"topgraft": hostile},
        "train_config": {"weights": hostile, "imported": {"module": hostile}},
        "dataset": bundle.manifest.dataset | {"path": hostile, "fingerprint": hostile},
        "metrics": {"test": metrics | {"per_class": [row | {"class": hostile} for row in metrics["per_class"]]}},
    }
    about = About(title=hostile, author=hostile, license=hostile, summary=hostile)
    card = model_card(dataclasses.replace(bundle.manifest, **changes), about)
    found, expected = _elements(card), _elements(model_card(bundle.manifest))
    assert found.keys() <= {*expected, "text_special"} and found["heading_open"] == expected["heading_open"]
    assert "\\\\x1b" in card and "\U0001f468\u200d\U0001f52c" in card
    assert not {"\x1b", "\u202e"} & set(card) and not re.search(r"http://x|www\.", card)


def _elements(card: str) -> Counter[str]:
    """The number of elements of each kind in a Markdown text; lists in lists are kinds of their own."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card)
    inline = (child.type for token in tokens for child in token.children or ())
    return Counter(
        [*inline, *(f"{token.type} {token.level}" if "list" in token.type else token.type for token in tokens)]
    )
