"""Programs that use a model through the service, as the studio shows them: they run as they are."""

import shlex
from collections.abc import Mapping

from model.page.service import MODULE

_CURL = """curl -F image=@photo.jpg {address}
"""

_PYTHON = """import requests

SERVICE = {service!r}

with open("photo.jpg", "rb") as photo:
    answer = requests.post(f"{{SERVICE}}predict/", params={{"model": {model!r}}}, files={{"image": photo}}, timeout=60)
answer.raise_for_status()
for prediction in answer.json()["predictions"]:
    if "error" in prediction:
        print(prediction["image"], prediction["error"])
    else:
        print(prediction["image"], prediction["labels"][0], prediction["probabilities"][0])
"""


def snippets(service: str, model: str) -> Mapping[str, str]:
    """Programs for a model, by language: `curl` and `python`; each classifies photo.jpg in the current folder.

    Args:
        service: address of the DEEPaaS service, without a slash at the end.
        model: name of the model, as `model.config.is_model_name` accepts it.
    """
    module = f"{service}/{MODULE}"
    address = shlex.quote(f"{module}predict/?model={model}")
    return {"curl": _CURL.format(address=address), "python": _PYTHON.format(service=module, model=model)}
