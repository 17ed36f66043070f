"""A tokenizer that is there but can't be read is named, not taken for none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitspex.errors import ModelNotFoundError
from circuitspex.models import load_model


def test_a_damaged_tokenizer_is_named(tiny: SimpleNamespace, tmp_path: Path) -> None:
    tiny.hf_model("phi3").save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    whole = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(ModelNotFoundError, match="can't read the tokenizer") as error:
        load_model(tmp_path)
    assert "\n" not in str(error.value)
