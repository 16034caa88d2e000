import pytest

from parrotpark.models import ModelError, served_name, source


@pytest.mark.parametrize(
    ("model", "expected", "name"),
    [
        ("/srv/models/SmolLM2-135M/", {"folder": "/srv/models/SmolLM2-135M"}, "smollm2-135m"),
        ("Qwen/Qwen3-0.6B@abc", {"hub": "Qwen/Qwen3-0.6B", "revision": "abc"}, "qwen3-0.6b"),
        ("Qwen/Qwen3-0.6B", {"hub": "Qwen/Qwen3-0.6B", "revision": "main"}, "qwen3-0.6b"),
    ],
)
def test_source_and_name(model: str, expected: dict[str, str], name: str) -> None:
    assert source(model) == expected
    assert served_name(model) == name


@pytest.mark.parametrize("model", ["", "qwen", "a/b/c", "org/@main"])
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises(ModelError, match="organisation/name@revision"):
        source(model)
