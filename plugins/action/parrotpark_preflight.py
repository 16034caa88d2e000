"""Refuse inputs that are missing, mistyped, unknown or in the wrong place; documented in plugins/modules."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from parrotpark.control import boxes, preflight, sign_on, upgrade
from parrotpark.control.models import ModelError, catalogue
from parrotpark.control.preflight import Options, Setting

ARGUMENTS: dict[str, dict[str, Any]] = {
    name: {"type": "path", "required": True} for name in ("schema", "renamed", "changelog")
}


class ActionModule(ActionBase):
    """Ansible's entry point."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, params = self.validate_argument_spec(ARGUMENTS)
        variables = task_vars or {}
        specification = self._loader.load_from_file(params["schema"])
        schema = preflight.options_of(specification)
        inventories = [Path(source) for source in variables["ansible_inventory_sources"] if Path(source).exists()]
        in_files = [setting for inventory in inventories for setting in self._settings(inventory)]
        extra = [Setting(name, "the extra variables") for name in load_extra_vars(self._loader)]
        place = ", ".join(_shown(source / "group_vars/all.yml") for source in inventories) or "the inventory"
        names = self._loader.load_from_file(params["renamed"])
        problems = [
            *upgrade.renamed([*in_files, *extra], names),
            *preflight.misplaced(in_files, self._role_options()),
            *preflight.unknown([setting for setting in (*in_files, *extra) if setting.name not in names], schema),
            *self._judge_values(schema, preflight.constraints_of(specification), variables, place),
            # Last, as it is longest, and explains what may be wrong above.
            *upgrade.news(self._checked(variables), Path(params["changelog"]).read_text()),
        ]
        if problems:
            return {"failed": True, "msg": "\n".join(problems)}
        return {"changed": False}

    def _checked(self, variables: Mapping[str, Any]) -> object:
        try:
            return self._templar.template(variables.get(upgrade.CHECKED))
        except AnsibleError:
            return ""  # The values are judged as well, and that says why.

    def _settings(self, inventory: Path) -> Iterator[Setting]:
        for path in preflight.variable_files(inventory):
            values = self._loader.load_from_file(str(path)) or {}
            yield from (Setting(name, _shown(path)) for name in values)

    def _role_options(self) -> dict[str, str]:
        """Map every option of every role to that role."""
        folders = constants.config.get_config_value("DEFAULT_ROLES_PATH")
        specifications = [path for folder in folders for path in Path(folder).glob("*/meta/argument_specs.yml")]
        return {
            option: path.parent.parent.name
            for path in sorted(specifications)
            for option in preflight.options_of(self._loader.load_from_file(str(path)))
        }

    def _judge_values(
        self, schema: Options, constraints: Mapping[str, Any], variables: Mapping[str, Any], place: str
    ) -> list[str]:
        given: dict[str, Any] = {}
        problems: list[str] = []
        for name in schema:
            if name in variables:
                try:
                    given[name] = self._templar.template(variables[name])
                except AnsibleError as error:
                    problems.append(f"{name} cannot be evaluated: {' '.join(str(error).split())}")
        failed = {name for name in schema if name in variables and name not in given}
        judged = {name: dict(option) for name, option in schema.items() if name not in failed}
        problems += preflight.missing(given, judged, place)
        problems += preflight.mistyped_texts(given, judged)
        problems += preflight.placeholders(given)
        problems += preflight.unmatched(given, judged)
        problems += preflight.missing_files(given, judged)
        optional = {name: {**option, "required": False} for name, option in judged.items()}
        validation = ArgumentSpecValidator(optional, **constraints).validate(given)
        problems += [str(remove_values(message, validation._no_log_values)) for message in validation.error_messages]
        if not problems and "parrotpark_models" in given:  # the catalogue's own rules need entries of the right shape
            try:
                catalogue(given["parrotpark_models"])
            except ModelError as error:
                problems.append(f"parrotpark_models: {error}")
        if not problems and "parrotpark_clouds" in given:
            problems += boxes.problems(
                given["parrotpark_clouds"],
                given["parrotpark_gpu_offers"],
                int(given["parrotpark_gpu_slots"]),
                given["parrotpark_entry_cloud"],
            )
        if not problems and "parrotpark_groups" in given:
            roles = {name: given[name] for name in ("parrotpark_oidc_user_roles", "parrotpark_oidc_admin_roles")}
            issuer = given.get("parrotpark_oidc_issuer") or ""
            problems += sign_on.problems(given["parrotpark_chat"], issuer, roles, given["parrotpark_groups"])
        return problems


def _shown(path: Path) -> str:
    """Name a path as a person in the current folder would."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
