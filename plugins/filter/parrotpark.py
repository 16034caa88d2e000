"""Filters that give the wiring what our Python code works out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

from parrotpark.cloud.account import Account, named
from parrotpark.cloud.errors import CloudError
from parrotpark.control import boxes, front, models, outlook, placement, program, sign_on
from parrotpark.control.cards import CardError, Cards
from parrotpark.control.models import ModelError
from parrotpark.control.slots import Slot, SlotError, slot_document, slots
from parrotpark.golden import plan as golden
from parrotpark.golden.bake_server import name_at
from parrotpark.golden.fingerprint import FingerprintError, fingerprint
from parrotpark.shared.cloud_config import cloud_config
from parrotpark.shared.wish import Wish, WishError


def _one_line_errors[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let our own errors, whose message says what to do, reach people without a traceback."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (CardError, CloudError, FingerprintError, ModelError, SlotError, WishError) as error:
            raise AnsibleFilterError(str(error)) from None

    return wrapped


def chosen_clouds(given: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[dict[str, Any]]:
    """Take the clouds of these names out of those of the inventory, in its order, with all that it leaves out."""
    accounts = [Account.of(entry) for entry in given]
    wanted = {named(accounts, name) for name in names}
    return [account.to_dict() for account in accounts if account in wanted]


def making_clouds(clouds: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Take those in which servers and images are made: all but those of machines that are always there."""
    return [cloud for cloud in clouds if Account.of(cloud).makes]


def fleet_clouds(clouds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write the clouds as the scheduler's configuration has them: it bakes nothing, and reaches no box by SSH."""
    return [
        {key: value for key, value in account.to_dict().items() if key not in ("credential_file", "image", "hosts")}
        | ({} if account.makes else {"hosts": [box.for_entry_server() for box in account.hosts]})
        for account in map(Account.of, clouds)
    ]


def credentials(clouds: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Read what opens each cloud."""
    return {account.name: account.credential() for account in map(Account.of, clouds)}


def bake_name(cloud: str, prefix: str) -> str:
    """Name the server that an image is baked on in a cloud."""
    return name_at(prefix, cloud)


def slot_list(count: int, network: str, first: int = 11) -> list[dict[str, str]]:
    """List the slots in the overlay network as dictionaries with `name` and `address`."""
    return [asdict(slot) for slot in slots(int(count), network, first)]


def slot_documents(
    slots: Sequence[Mapping[str, str]], keys: Mapping[str, Mapping[str, str]], **values: Any
) -> list[dict[str, object]]:
    """Build the slot documents; `keys` are their secrets by name, `values` further arguments of `slot_document`."""
    return [
        slot_document(
            Slot(**slot),
            wireguard_private_key=keys[slot["name"]]["wireguard_private_key"],
            ssh_host_key=keys[slot["name"]]["ssh_host_private_key"],
            **values,
        ).to_dict()
        for slot in slots
    ]


def fingerprint_of(paths: Sequence[str], root: str, values: Mapping[str, object]) -> dict[str, object]:
    """Hash files and folders below `root` together with values: `whole`, and `parts` by name."""
    return asdict(fingerprint(Path(root), paths, values))


def slot_peers(slots: Sequence[Mapping[str, str]], keys: Mapping[str, Mapping[str, str]]) -> list[object]:
    """List the slots as WireGuard peers; `keys` are their secrets by name."""
    return [
        {
            "name": slot["name"],
            "public_key": keys[slot["name"]]["wireguard_public_key"],
            "allowed_ips": [f"{slot['address']}/32"],
        }
        for slot in slots
    ]


def program_hash(module: str) -> str:
    """Hash a program of ours, as it would be installed."""
    return hashlib.sha256(program.build(module)).hexdigest()


def program_source(module: str) -> str:
    """Return the source of a program of ours that imports nothing else of ours."""
    return program.SOURCES.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")


def _from_catalogue[R](function: Callable[..., R]) -> Callable[..., R]:
    """Let a function of models take the inventory's list, as templates cannot pass objects on."""

    @wraps(function)
    def wrapped(entries: Sequence[Mapping[str, Any]], *args: Any) -> R:
        return function(models.catalogue(entries), *args)

    return _one_line_errors(wrapped)


def gpus(offers: Sequence[Mapping[str, Any]], clouds: Sequence[Mapping[str, Any]], computes: str) -> list[object]:
    """List the kinds of cards that a GPU host may have, each once, as dictionaries with `name` and `count`."""
    machines = placement.machines_of(offers, [Account.of(cloud) for cloud in clouds]) if computes == "cuda" else ()
    return [asdict(machine) for machine in machines]


def required_units(computes: str) -> list[str]:
    """List the units without which no model may start."""
    return ["parrotpark-gpu-health.service"] if computes == "cuda" else []


def told_at(computes: str, port: int) -> int:
    """Return the port at which a host tells how its cards are; 0 where it has none."""
    return port if computes == "cuda" else 0


def cards_open_ports(computes: str, port: int, interface: str, origin: str) -> list[object]:
    """Open the port where a host tells of its cards to one network, in the words of `base_open_ports`."""
    rule = {"protocol": "tcp", "port": port, "interface": interface, "sources": [origin]}
    return [rule] if computes == "cuda" else []


def vllm_models(entries: Sequence[Mapping[str, Any]], machines: Sequence[Mapping[str, Any]] = ()) -> list[object]:
    """Say what is served, and how, in the words of the role's `vllm_models`; `machines` are as `gpus` lists them."""
    found = models.catalogue(entries)
    places = placement.place(found, [Cards(**machine) for machine in machines])
    return list(models.vllm_models(found, {place.model.name: place.options for place in places}))


def url(domain: str, port: int | str) -> str:
    """Write the URL that people use."""
    return front.url(domain, int(port))


def addresses(domain: str, port: int | str) -> list[str]:
    """List where the front door answers."""
    return front.addresses(domain, int(port))


def public_names(domain: str, sign_on_domain: str, port: int | str, issuer: str) -> list[str]:
    """List the DNS names that shall lead to the entry server."""
    return front.names(domain, sign_on_domain, int(port), issuer)


def sign_on_addresses(domain: str, port: int | str, issuer: str) -> list[str]:
    """List where our own Keycloak answers; nowhere if people sign in at an issuer."""
    return sign_on.addresses(domain, int(port), issuer)


def redirects(domain: str, to: str) -> list[dict[str, Any]]:
    """Send people who took another address to where they wanted, in the words of `caddy_redirects`."""
    names = front.other_addresses(domain)
    return [{"addresses": names, "to": to}] if names else []


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())


def buckets(given: Sequence[Mapping[str, Any]], origin: str) -> list[dict[str, Any]]:
    """Write the buckets in the words of `object_storage_buckets`; pages of the origin may read them."""
    return [
        {name: value for name, value in entry.items() if name != "purpose"}
        | {"secret_key_file": _expanded(entry["secret_key_file"]), "cors_origins": [origin]}
        for entry in given
    ]


def bucket(buckets: Sequence[Mapping[str, Any]], purpose: str) -> dict[str, str]:
    """Find the bucket of a purpose; where there is none, all that is known of it is empty."""
    nothing = {"name": "", "access_key_id": "", "secret_key_file": "/dev/null"}
    found = next((entry for entry in buckets if entry["purpose"] == purpose), nothing)
    return {**{name: found[name] for name in nothing}, "secret_key_file": _expanded(found["secret_key_file"])}


def realm_groups(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write the groups in the words of `keycloak_realm_groups`."""
    return [{name: value for name, value in group.items() if name != "budget"} for group in groups]


def budgets(groups: Sequence[Mapping[str, Any]], everybody: float) -> dict[str, float]:
    """List what a person may spend in a month: everybody, and by its name who is in a group with another budget."""
    return {"everybody": float(everybody)} | {
        group["name"]: float(group["budget"]) for group in groups if group.get("budget") is not None
    }


def wish(text: str, slots: int) -> str:
    """Read a wish as the scheduler does, and write it as it does; refuse one for more hosts than there are slots."""
    return Wish.parse(text).fitting(slots).render()


def wants_image(wish: str, run_tags: Sequence[str], skip_tags: Sequence[str]) -> bool:
    """Say whether a run of these tags makes the golden image."""
    return golden.wanted(Wish.parse(wish), run_tags, skip_tags)


def wakes_from(whole: str, found: Mapping[str, Any], wanted: bool, before_bake: bool) -> str:
    """Choose the fingerprint that the scheduler makes hosts from; `found` is what the golden image role found."""
    return golden.wakes_from(whole, found.get("newest"), current=found["current"], baked=wanted and not before_bake)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {
            "parrotpark_clouds": _one_line_errors(chosen_clouds),
            "parrotpark_making_clouds": making_clouds,
            "parrotpark_fleet_clouds": fleet_clouds,
            "parrotpark_credentials": _one_line_errors(credentials),
            "parrotpark_bake_name": bake_name,
            "parrotpark_slots": _one_line_errors(slot_list),
            "parrotpark_slot_peers": _one_line_errors(slot_peers),
            "parrotpark_slot_documents": _one_line_errors(slot_documents),
            "parrotpark_cloud_config": cloud_config,
            "parrotpark_fingerprint": _one_line_errors(fingerprint_of),
            "parrotpark_program_hash": program_hash,
            "parrotpark_program_source": program_source,
            "parrotpark_wish": _one_line_errors(wish),
            "parrotpark_wants_image": _one_line_errors(wants_image),
            "parrotpark_wakes_from": wakes_from,
            "parrotpark_url": url,
            "parrotpark_bucket": bucket,
            "parrotpark_buckets": buckets,
            "parrotpark_budgets": budgets,
            "parrotpark_realm_groups": realm_groups,
            "parrotpark_addresses": addresses,
            "parrotpark_redirects": redirects,
            "parrotpark_public_names": public_names,
            "parrotpark_without_address": outlook.without_address,
            "parrotpark_sign_on_addresses": sign_on_addresses,
            "parrotpark_provider": sign_on.provider,
            "parrotpark_first_ordinary": sign_on.first_ordinary,
            "parrotpark_databases": sign_on.databases,
            "parrotpark_publicly_trusted": front.publicly_trusted,
            "parrotpark_own_ca": front.own_ca,
            "parrotpark_first_model": _from_catalogue(models.first_model),
            "parrotpark_model_folders": _from_catalogue(models.folders),
            "parrotpark_gpus": _one_line_errors(gpus),
            "parrotpark_required_units": required_units,
            "parrotpark_cards_open_ports": cards_open_ports,
            "parrotpark_cards_port": told_at,
            "parrotpark_lan_open_ports": boxes.lan_open_ports,
            "parrotpark_ray": boxes.ray,
            "parrotpark_vllm_models": _one_line_errors(vllm_models),
            "parrotpark_litellm_models": _from_catalogue(models.litellm_models),
            "parrotpark_model_endpoints": _from_catalogue(models.endpoints),
            "parrotpark_model_open_ports": _from_catalogue(models.open_ports),
            "parrotpark_chat_models": _from_catalogue(models.chat_models),
            "parrotpark_librechat_models": _from_catalogue(models.librechat_models),
        }
