"""Where the class activation maps point at: the pointing game (Zhang et al., 2018) for every backbone with weights.

How: a head is trained on 128 composed photos of the eight traffic signs. On 40 others, whose object has a known place,
a map hits if its highest cell overlaps the box of the object. The map of another photo shows how often that is chance.

Depends on: the ImageNet weights on this machine; the other backbones are counted and not measured.
"""

from benchmarks.tables import markdown_table, verdict
from model.backbones import BACKBONES
from model.measurements import fraction_interval
from model.networks.keras_weights import ready_backbones
from tests.support.pointing_game import TEST, TRAIN, composed, play

GOAL = 0.8


def main() -> None:
    """Print the table, and the number of backbones that could not be measured."""
    train, test = composed(TRAIN), composed(TEST)
    ready = [backbone for backbone in BACKBONES.values() if backbone in ready_backbones()]
    rows = []
    for backbone in ready:
        hits = play(backbone, train, test)
        count, images = int(hits.own.sum()), len(hits.own)
        low, high = fraction_interval(count, images)
        rows.append(
            [
                backbone.name,
                f"{count} of {images}",
                f"{100 * low:.0f} to {100 * high:.0f} %",
                f"{int(hits.of_others.sum())} of {images}",
                verdict(f"over {100 * GOAL:.0f} %", count / images > GOAL),
            ]
        )
    header = ["backbone", "maps that point at the object", "95 % interval", "maps of other photos", "goal"]
    print(markdown_table(header, rows))
    print()
    others = len(BACKBONES) - len(ready)
    measured = f"Of {len(BACKBONES)} backbones, {len(ready)} were measured"
    print(f"{measured}; the weights of the other {others} were not at hand.")


if __name__ == "__main__":
    main()
