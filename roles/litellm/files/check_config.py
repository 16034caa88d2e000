"""Judge a LiteLLM configuration with LiteLLM's own code, before a restart would find out.

Checks it against its schema and builds the router of the models. Runs in LiteLLM's own environment.
"""

import logging
import os
import sys
from pathlib import Path

# Prices are asked of the internet otherwise; a key that the configuration refers to is not needed to judge it.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import yaml
from litellm.proxy._types import ConfigYAML


def main() -> None:
    config = yaml.safe_load(Path(sys.argv[1]).read_text())
    logging.disable(logging.WARNING)
    try:
        ConfigYAML.model_validate(config)
        litellm.Router(model_list=config["model_list"], **config["router_settings"])
    except (ValueError, TypeError, litellm.exceptions.BadRequestError) as error:
        sys.exit(f"LiteLLM refuses the configuration: {error}")


if __name__ == "__main__":
    main()
