"""Names of classes, from the labels of a source."""

from collections import defaultdict
from collections.abc import Iterable

from model.dataset.listing import Problems, describe_problems, is_listable
from model.errors import DatasetError
from model.received import quoted


def classes_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels as classes, sorted.

    Raises:
        DatasetError: labels that cannot be class names, or that differ only in case or blanks.
    """
    classes = sorted(set(labels))
    problems = Problems(
        f"expected a class name on one line, without blanks around it, received {quoted(label)}: rename the label"
        for label in classes
        if not is_listable(label)
    )
    alike: dict[str, list[str]] = defaultdict(list)
    for label in classes:
        alike[" ".join(label.casefold().split())].append(label)
    problems.extend(
        f"expected labels that differ in more than case and blanks, received {' and '.join(map(quoted, names))}: "
        "rename them to one, or to names that differ more"
        for names in alike.values()
        if len(names) > 1
    )
    if problems:
        raise DatasetError(describe_problems(problems))
    return tuple(classes)
