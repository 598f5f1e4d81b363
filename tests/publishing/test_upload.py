"""The upload of a model at the end of its training: what fails is a warning."""

import errno
import os
import shlex

import pytest

from model.bundle import Bundle
from model.errors import StorageError
from model.publishing.upload import add_upload
from model.training_result import TrainingResult
from model.workspace import Workspace


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/a.part"), "No space left on device: '/tmp/a.part'"),
        (StorageError("rshare:models is read-only. Choose another folder."), "is read-only. Choose another folder"),
    ],
)
def test_a_failed_upload_is_a_warning_with_the_reason_and_the_command(
    bundle: Bundle, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("model.publishing.upload.push_model", fail)
    result = TrainingResult(bundle.name, bundle.directory, {}, (), 1.0)
    [warning] = add_upload(result, workspace, "rshare:my models").warnings
    command = f"topgraft push {bundle.name} {shlex.quote('rshare:my models')}"
    assert warning.startswith("The upload failed: ")
    assert warning.endswith(f"{reason}. The model is complete. To upload it later: {command}")
