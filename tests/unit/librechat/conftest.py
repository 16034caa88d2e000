"""Renders what the role writes as Ansible does, for any options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[3] / "roles/librechat"
IMAGE = f"registry.example/x@sha256:{'a' * 64}"
LEAST = {
    "librechat_image": IMAGE,
    "librechat_rag_image": IMAGE,
    "librechat_search_image": IMAGE,
    "librechat_url": "https://chat.example",
    "librechat_mongodb_uri": "mongodb://a:b@127.0.0.1/LibreChat",
    "librechat_database_password": "p",
    "librechat_api_base_url": "http://127.0.0.1:4000/v1",
    "librechat_api_key": "k",
    "librechat_models": [{"name": "assistant"}],
    "librechat_embedding_model": "embed",
    "librechat_embedding_context": 256,
    "librechat_jwt_secret": "j" * 32,
    "librechat_jwt_refresh_secret": "r" * 32,
    "librechat_creds_key": "c" * 64,
    "librechat_creds_iv": "d" * 32,
    "librechat_search_key": "s" * 16,
}
SIGN_ON = {
    "librechat_oidc_issuer": "https://auth.example/realms/people",
    "librechat_oidc_client_secret": "o" * 32,
    "librechat_oidc_session_secret": "t" * 32,
    "librechat_oidc_required_role": "user",
    "librechat_oidc_admin_role": "admin",
}
FILES = {
    "librechat_s3_bucket": "chat",
    "librechat_s3_endpoint": "https://s3.example",
    "librechat_s3_access_key": "a",
    "librechat_s3_secret_key": "b",
}

type Render = Callable[..., Any]


@pytest.fixture(scope="session")
def render() -> Render:
    """Return a template's text, or where it is no file's name the value of an expression, under these options."""
    init_plugin_loader()
    loader = DataLoader()
    values = {
        name: loader.load_from_file(str(ROLE / name / "main.yml"), trusted_as_template=True)
        for name in ("defaults", "vars")
    }

    def render(name: str, **options: Any) -> Any:
        variables = {**values["defaults"], "ansible_managed": "By Ansible", **values["vars"], **LEAST, **options}
        file = ROLE / "templates" / name
        text = file.read_text() if file.exists() else "{{ " + name + " }}"
        return Templar(loader, variables=variables).template(trust_as_template(text))

    return render


@pytest.fixture(scope="session")
def config(render: Render) -> Callable[..., Any]:
    return lambda **options: yaml.safe_load(render("librechat.yaml.j2", **options))
