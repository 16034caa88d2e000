import pytest

from parrotpark.models import ModelError, served_name, source

COMMIT = "c1899de289a04d12100db370d81485cdf75e47ca"


@pytest.mark.parametrize(
    ("model", "expected", "name"),
    [
        ("/srv/models/SmolLM2-135M/", {"folder": "/srv/models/SmolLM2-135M"}, "smollm2-135m"),
        (f"Qwen/Qwen3-0.6B@{COMMIT}", {"hub": "Qwen/Qwen3-0.6B", "revision": COMMIT}, "qwen3-0.6b"),
    ],
)
def test_source_and_name(model: str, expected: dict[str, str], name: str) -> None:
    assert source(model) == expected
    assert served_name(model) == name


@pytest.mark.parametrize("model", ["", "qwen", "a/b/c", "org/@main"])
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises(ModelError, match="organisation/name@revision"):
        source(model)


@pytest.mark.parametrize(
    "revision", ["", "@", "@main", "@v1.0", f"@{COMMIT[:-1]}", f"@{COMMIT}0", f"@{COMMIT.upper()}"]
)
def test_a_branch_is_no_revision(revision: str) -> None:
    with pytest.raises(ModelError, match=r"names no commit: write Qwen/Qwen3-0\.6B@ and the 40 digits of one"):
        source(f"Qwen/Qwen3-0.6B{revision}")
