"""Leaderboards: models by dataset and accuracy."""

from model.leaderboard import Entry, Leaderboard, leaderboards


def test_models_are_ranked_by_the_photos_of_their_dataset() -> None:
    entries = [
        Entry("new", "birds", "b", 0.5),
        Entry("imported", "", "", None),
        Entry("another", "", "", 0.0),
        Entry("best", "birds", "b", 0.9),
        Entry("changed", "birds", "c", 0.9),
        Entry("moved", "birds 2", "b", 0.4),
        Entry("equal", "birds", "b", 0.5),
    ]
    assert leaderboards(entries) == [
        Leaderboard("birds", "c", ("changed",)),
        Leaderboard("birds, birds 2", "b", ("best", "equal", "new", "moved")),
        Leaderboard("unknown dataset", "", ("another", "imported")),
    ]
    assert leaderboards([]) == []
