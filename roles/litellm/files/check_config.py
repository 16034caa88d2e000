"""Judge a LiteLLM configuration with LiteLLM's own code, before a restart would find out.

Builds the router from the models and checks the settings against their schema. Runs in LiteLLM's own environment.
"""

import logging
import os
import sys
from pathlib import Path

# Prices are asked of the internet otherwise; a key that the configuration refers to is not needed to judge it.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import yaml
from litellm.proxy._types import ConfigGeneralSettings
from pydantic import ValidationError


def main() -> None:
    config = yaml.safe_load(Path(sys.argv[1]).read_text())
    logging.disable(logging.WARNING)
    try:
        litellm.Router(model_list=config["model_list"], **config.get("router_settings", {}))
        ConfigGeneralSettings.model_validate(config.get("general_settings", {}))
    except (ValidationError, ValueError, TypeError, litellm.exceptions.BadRequestError) as error:
        sys.exit(f"LiteLLM refuses the configuration: {error}")
    unknown = [name for name in config.get("litellm_settings", {}) if not hasattr(litellm, name)]
    if unknown:
        sys.exit(f"LiteLLM does not know litellm_settings.{unknown[0]}")


if __name__ == "__main__":
    main()
