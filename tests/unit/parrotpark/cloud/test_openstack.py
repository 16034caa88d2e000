"""What only OpenStack does, in memory and, with pytest's option --openstack, for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from parrotpark.cloud import OFF, RUNNING, Account, Cloud, Offer, Rule, Server, ServerSpec, connect
from parrotpark.cloud.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NameTaken,
    NotFound,
    OutOfCapacity,
    QuotaExceeded,
    Transient,
    Unfinished,
    Unreachable,
)
from parrotpark.cloud.openstack import OpenStackCloud
from parrotpark.cloud.openstack.errors import ErrorTranslator
from tests.openstack_in_memory import NETWORK, OpenStack, Thing, clouds_yaml, now
from tests.unit.providers.life import FURNISHING, GOLDEN, HOST, NEW
from tests.unit.providers.openstack import OpenStackStage, openstack

NOWHERE = Offer("here", "nova", "h100-9000")
LONG_AGO = "2026-01-01T00:00:00Z"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stage" in metafunc.fixturenames:
        real = ["real"] if metafunc.config.getoption("--openstack") else []
        metafunc.parametrize("stage", ["memory", *real], indirect=True)


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStackStage]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield stack.enter_context(openstack(tmp_path, lambda app: app))
        else:
            request.getfixturevalue("real_openstack")
            from tests.openstack.stage import stage as real

            yield stack.enter_context(real(tmp_path))  # type: ignore[misc]  # it has all that these tests need


@pytest.fixture
def cloud(stage: OpenStackStage) -> Cloud:
    return stage.cloud()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[OpenStackStage]:
    with openstack(tmp_path, lambda app: app) as stage:
        yield stage


@pytest.fixture
def state(memory: OpenStackStage) -> OpenStack:
    return memory.served.state


def spec(stage: OpenStackStage, name: str = "gpu-1", **changes: object) -> ServerSpec:
    return replace(ServerSpec(name, stage.offer, stage.image, HOST), **changes)  # type: ignore[arg-type]


# ---- In memory and for real ----------------------------------------------------------------------------------------


def test_a_server_for_which_there_is_no_machine_goes_and_another_offer_is_tried(
    stage: OpenStackStage, cloud: Cloud
) -> None:
    wanted = spec(stage, offer=NOWHERE)
    cloud.check([wanted])
    with pytest.raises(OutOfCapacity, match="No valid host was found: try another flavour"):
        cloud.create(wanted)
    assert stage.billed() == set()


def test_a_server_that_does_not_come_up_goes(stage: OpenStackStage, cloud: Cloud) -> None:
    with stage.failing("spawn"), pytest.raises(CloudError):
        cloud.create(spec(stage))
    assert stage.billed() == set()
    assert cloud.create(spec(stage)).status == RUNNING


def test_a_full_project_is_told_from_a_request_that_is_too_large(stage: OpenStackStage, cloud: Cloud) -> None:
    with pytest.raises(InvalidRequest, match="Maximum number of metadata items exceeds 128"):
        cloud.create(spec(stage, labels={f"label-{number}": "x" for number in range(129)}))
    stage.limit(0)
    with pytest.raises(QuotaExceeded, match=r"Quota exceeded for instances: .*ask the provider to raise"):
        cloud.create(spec(stage))


L4, B2 = Offer("here", "nova", "l4-90"), Offer("here", "nova", "b2-7")  # of 22 and 2 cores, 90000 and 7000 MB


def test_rights_and_quota_are_told_before_anything_is_made(stage: OpenStackStage, cloud: Cloud) -> None:
    told = cloud.prospect([B2], 1)
    assert not told.faults
    role, quota = told.notes
    assert "member" in role
    assert quota == "here: its quota is enough for 1 of b2-7, and for a bake"
    assert stage.billed() == set()


@pytest.mark.parametrize(
    ("servers", "cores", "ram", "number", "said"),
    [
        (-1, -1, -1, 9, "enough for 9 of l4-90, and for a bake"),
        (3, 66, 270_000, 2, "enough for 2 of l4-90, and for a bake"),
        (3, 65, 270_000, 2, "is used up by 2 of l4-90; a bake needs one more"),
        (2, -1, -1, 2, "is used up by 2 of l4-90; a bake needs one more"),
        (10, 20, 51_200, 1, "allows 20 of the 22 cores and 51200 of the 90000 MB of memory for 1 of l4-90: ask the"),
        (1, 44, 180_000, 2, "allows 1 of the 2 servers for 2 of l4-90: ask the provider for more, or take the offer"),
        (0, 44, 180_000, 1, "allows 0 of the 1 servers for 1 of l4-90: "),
    ],
)
def test_a_quota_is_compared_with_what_the_servers_take(
    memory: OpenStackStage, state: OpenStack, servers: int, cores: int, ram: int, number: int, said: str
) -> None:
    state.most_servers, state.most_cores, state.most_memory = servers, cores, ram
    told = memory.cloud().prospect([L4, L4], number)
    (line,) = told.faults if "allows" in said else told.notes[1:]
    assert said in line
    assert len(told.faults) == ("allows" in said)


def test_each_offer_has_its_line(memory: OpenStackStage, state: OpenStack) -> None:
    state.most_cores = 20
    told = memory.cloud().prospect([L4, B2], 1)
    assert (len(told.faults), len(told.notes)) == (1, 2)
    assert "b2-7" in told.notes[1]


def test_what_hosts_use_already_is_theirs(memory: OpenStackStage, state: OpenStack) -> None:
    state.most_servers = 1
    cloud = memory.cloud()
    cloud.furnish(FURNISHING)
    cloud.create(spec(memory))
    assert not cloud.prospect([B2], 1).faults


def test_a_credential_that_may_only_look_is_refused(memory: OpenStackStage, state: OpenStack) -> None:
    state.role = "reader"
    told = memory.cloud().prospect([], 1)
    assert told.faults == ("here: its credential has the role reader, which makes nothing: make one with member",)
    assert told.notes == ()


def test_limits_that_are_none_are_no_limits(
    memory: OpenStackStage, state: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "most_cores", None)
    with pytest.raises(Transient):
        memory.cloud().prospect([B2], 1)


def test_a_value_that_is_refused_is_not_repeated(stage: OpenStackStage, cloud: Cloud) -> None:
    with pytest.raises(InvalidRequest, match="field/attribute key") as caught:
        cloud.create(spec(stage, labels={"key": "secret" * 50}))
    assert "secret" not in str(caught.value)


def test_a_snapshot_boots_only_where_its_disk_fits(stage: OpenStackStage, cloud: Cloud) -> None:
    large = replace(stage.offer, server_type="l4-90")
    image = cloud.snapshot(cloud.create(spec(stage, offer=large)), "golden", GOLDEN)
    cloud.check([spec(stage, image=image.id, offer=large)])
    with pytest.raises(InvalidRequest, match="needs a disk of 400 GB, and flavour b2-7 has 50: bake on a flavour"):
        cloud.check([spec(stage, image=image.id)])
    with pytest.raises(InvalidRequest, match="smaller than the minimum"):
        cloud.create(spec(stage, "gpu-2", image=image.id))


def test_an_image_of_a_server_from_an_image_has_its_own_labels_only(stage: OpenStackStage, cloud: Cloud) -> None:
    first = cloud.snapshot(cloud.create(spec(stage)), "golden", GOLDEN)
    host = cloud.create(spec(stage, "gpu-2", image=first.id))
    second = cloud.snapshot(host, "other", {"other": "label"})
    assert dict(second.labels) == {"other": "label"}
    assert cloud.snapshot(host, "other", {"other": "label"}) == second
    assert list(cloud.images(GOLDEN)) == [first]


def test_rules_in_any_spelling_are_the_same(stage: OpenStackStage, cloud: Cloud) -> None:
    rules = (Rule("tcp", "22", ("192.0.2.9/24", "::/0")), Rule("icmp", None, ("2001:db8::1/32", "0.0.0.0/0")))
    assert cloud.furnish(replace(FURNISHING, rules=rules))
    same = (Rule("icmp", None, ("0.0.0.0/0", "2001:db8::/32")), Rule("tcp", "22-22", ("::/0", "192.0.2.0/24")))
    assert cloud.furnish(replace(FURNISHING, rules=same), check=True) == ()
    assert stage.cloud().furnish(replace(FURNISHING, rules=same[1:]), check=True) != ()


def test_a_server_that_was_given_up_before_is_made_anew(stage: OpenStackStage, cloud: Cloud) -> None:
    class Killed(BaseException):
        """The process ends while the server is made."""

    def die(_seconds: float) -> None:
        raise Killed

    dying = OpenStackCloud(stage.account, stage.account.credential(), sleep=die)
    with stage.failing("spawn"):
        with pytest.raises(Killed):
            dying.create(spec(stage))
        wait_until(stage, cloud, "error")
    assert cloud.create(spec(stage)).status == RUNNING
    assert len(stage.billed()) == 1


def wait_until(stage: OpenStackStage, cloud: Cloud, status: str) -> None:
    """Let the cloud work until its only server has that status."""
    for _ in range(100):
        if [server.status for server in cloud.servers({})] == [status]:
            return
        cloud._patiently.sleep(0.5)  # type: ignore[attr-defined]  # as the client sleeps, so the double works
    raise AssertionError(f"no server has become {status}: {stage.billed()}")


def test_a_wrong_region_is_named(stage: OpenStackStage) -> None:
    account = replace(stage.account, region="Mars")
    with pytest.raises(InvalidRequest, match="check the region 'Mars'"):
        connect(account).servers({})


def test_a_wrong_project_is_named(stage: OpenStackStage) -> None:
    account = replace(stage.account, project="0" * 32)
    with pytest.raises(
        AuthFailed, match=rf"requires authentication.*check the credential in {account.credential_file}"
    ):
        connect(account).servers({})


# ---- In memory only: what the real one cannot be brought to do -----------------------------------------------------


def test_a_server_that_is_never_ready_is_unfinished_and_goes(memory: OpenStackStage) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        memory.served.work()

    cloud = OpenStackCloud(memory.account, memory.account.credential(), sleep=wait)
    with memory.failing("spawn-hangs"), pytest.raises(Unfinished, match="server gpu-1 is still being made"):
        cloud.create(spec(memory))
    assert 300 <= sum(waited) < 330
    assert memory.billed() == set()


def twin(state: OpenStack, server: Server, **changes: object) -> Thing:
    """Put another server of this name there."""
    body = {**state.servers[server.id], "id": f"0{server.id}", **changes}
    state.servers[body["id"]] = body
    return body


@pytest.mark.parametrize("labels", [HOST, NEW])
def test_of_twins_the_younger_goes(memory: OpenStackStage, state: OpenStack, labels: dict[str, str]) -> None:
    """Somebody else makes a server of the same name at the same time, a moment before or after us."""
    elder: list[str] = []

    def appear(_seconds: float) -> None:
        if not elder:
            (ours,) = memory.cloud().servers({})
            elder.append(twin(state, ours, created=LONG_AGO, metadata=labels, status="ACTIVE")["id"])
        memory.served.work()

    cloud = OpenStackCloud(memory.account, memory.account.credential(), sleep=appear)
    if labels == HOST:
        assert cloud.create(spec(memory)).id == elder[0]
    else:
        with pytest.raises(NameTaken):
            cloud.create(spec(memory))
    assert memory.billed() == {f"server {elder[0]}"}


def test_the_elder_of_twins_stays(memory: OpenStackStage, state: OpenStack) -> None:
    server = memory.cloud().create(spec(memory))
    twin(state, server, created="2099-01-01T00:00:00Z")
    twin(state, server, id="1", created=LONG_AGO, **{"OS-EXT-STS:task_state": "deleting"})
    assert memory.cloud().create(spec(memory)) == server


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ([("a", True, True), ("b", True, True)], "several networks: name one under `networks` in the file: a .*, b "),
        ([("a", True, False), ("b", False, True)], "several networks"),
        ([("mine", False, False)], "floating IPs are not made by us: .* it knows: mine "),
        ([], "it knows: none"),
    ],
)
def test_a_network_is_not_guessed(
    memory: OpenStackStage, state: OpenStack, networks: list[tuple[str, bool, bool]], message: str
) -> None:
    state.networks.clear()
    for name, external, shared in networks:
        state.add_network(name, external=external, shared=shared)
    for call in (lambda: memory.cloud().check([spec(memory)]), lambda: memory.cloud().create(spec(memory))):
        with pytest.raises(InvalidRequest, match=message):
            call()
    assert memory.billed() == set()


@pytest.mark.parametrize(
    ("networks", "named"),
    [
        ([(NETWORK, True, True), ("mine", False, False)], None),
        ([(NETWORK, True, False)], None),
        ([(NETWORK, False, True)], None),
        ([(NETWORK, True, True), ("other", True, False)], None),
        ([(NETWORK, True, True), ("other", True, True)], NETWORK),
    ],
)
def test_the_network_is_the_only_one_outside_or_the_one_that_the_file_names(
    memory: OpenStackStage, state: OpenStack, networks: list[tuple[str, bool, bool]], named: str | None
) -> None:
    state.networks.clear()
    for name, external, shared in networks:
        state.add_network(name, external=external, shared=shared)
    text = memory.account.credential() + (f"\n    networks: [{{name: {named}}}]\n" if named else "")
    cloud = OpenStackCloud(memory.account, text, sleep=memory.served.work)
    server = cloud.create(spec(memory))
    assert list(state.servers[server.id]["addresses"]) == [NETWORK]


def test_only_an_old_image_that_nobody_works_on_is_left_over(memory: OpenStackStage, state: OpenStack) -> None:
    cloud = memory.cloud()
    server = cloud.create(spec(memory))

    def begun(name: str, created: str, instance: str = "gone", **more: str) -> None:
        marks = {"image_type": "snapshot", "instance_uuid": instance}
        state.add_image(name, **marks, **more)
        list(state.images.values())[-1].update(status="queued", created_at=created)

    begun("young", now())
    begun("old", LONG_AGO)
    begun("kept", LONG_AGO, keep="yes")
    begun("busy", LONG_AGO, server.id)
    state.servers[server.id]["OS-EXT-STS:task_state"] = "image_uploading"
    assert [str(each) for each in cloud.leftovers()] == ["snapshot old"]
    state.servers[server.id]["OS-EXT-STS:task_state"] = None
    assert [str(each) for each in cloud.leftovers()] == ["snapshot busy", "snapshot old"]
    for leftover in cloud.leftovers():
        cloud.delete_leftover(leftover)
    assert {image["name"] for image in state.images.values()} == {"Debian 13", "young", "kept"}


def test_what_a_person_keeps_or_something_uses_is_no_leftover(memory: OpenStackStage, state: OpenStack) -> None:
    outside, inside = next(iter(state.networks.values())), state.add_network("mine", external=False, shared=False)
    state.add_floating(tags=["keep"])
    state.add_floating(port_id="used")
    state.add_volume("kept", metadata={"keep": ""})
    state.add_volume("used", attachments=[{"server_id": "s"}])
    state.add_port(outside, tags=["keep"])
    state.add_port(outside, device_owner="network:dhcp")
    state.add_port(inside)
    assert memory.cloud().leftovers() == ()


def test_a_cloud_may_have_no_volumes(memory: OpenStackStage, state: OpenStack) -> None:
    state.services.remove("block-storage")
    state.add_floating()
    assert len(memory.cloud().leftovers()) == 1


def test_an_old_nova_will_do(tmp_path: Path) -> None:
    with openstack(tmp_path, lambda app: app, microversion=(2, 38)) as old:
        server = old.cloud().create(spec(old))
        assert (server.server_type, server.image) == ("b2-7", "Debian 13")


def test_a_server_that_its_cloud_fails_to_delete_is_deleted_again(memory: OpenStackStage) -> None:
    cloud = memory.cloud()
    server = cloud.create(spec(memory))
    with memory.failing("destroy"), pytest.raises(Transient, match="still listed after its deletion"):
        cloud.delete(server)
    cloud.delete(server)
    assert memory.billed() == set()


def test_an_image_that_nova_takes_back_is_missed(memory: OpenStackStage) -> None:
    cloud = memory.cloud()
    server = cloud.create(spec(memory))
    with memory.failing("snapshot"), pytest.raises(NotFound):
        cloud.snapshot(server, "golden", GOLDEN)
    assert [each.status for each in cloud.servers({})] == [OFF]


def test_two_firewalls_of_one_name_are_refused(memory: OpenStackStage, state: OpenStack) -> None:
    state.add_group(FURNISHING.firewall)
    state.add_group(FURNISHING.firewall)
    with pytest.raises(InvalidRequest, match="2 security groups are named 'parrotpark-gpu'"):
        memory.cloud().furnish(FURNISHING)


def test_nobody_is_locked_out_while_rules_change(memory: OpenStackStage, state: OpenStack) -> None:
    cloud = memory.cloud()
    cloud.furnish(FURNISHING)
    (group,) = (each for each in state.groups.values() if each["name"] == FURNISHING.firewall)
    group["security_group_rules"].append({**group["security_group_rules"][0], "id": "more", "protocol": "tcp"})
    before = {rule["id"] for rule in group["security_group_rules"]}
    more = (*FURNISHING.rules, Rule("udp", "51820", ("0.0.0.0/0",)))
    assert cloud.furnish(replace(FURNISHING, rules=more)) == ("rules of firewall parrotpark-gpu changed",)
    assert before < {rule["id"] for rule in group["security_group_rules"]}
    assert cloud.furnish(replace(FURNISHING, rules=())) != ()
    left = group["security_group_rules"]
    assert {(rule["direction"], rule["protocol"]) for rule in left} == {("egress", None), ("egress", "tcp")}


def test_a_cloud_that_is_not_there_is_told_from_one_that_refuses() -> None:
    cloud = OpenStackCloud(Account("here", "openstack", "file"), clouds_yaml("http://127.0.0.1:9/v3"))
    with pytest.raises(Unreachable, match=r"nothing answers at http://127\.0\.0\.1:9/v3: check the endpoint"):
        cloud.servers({})


# ---- Errors and credentials, without a network ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "kind", "advice"),
    [
        (401, "requires authentication", AuthFailed, "check the credential in the file"),
        (403, "Policy doesn't allow it", AuthFailed, "what its user may do"),
        (403, "Quota exceeded for cores, ram: Requested 22", QuotaExceeded, "ask the provider"),
        (409, "Quota exceeded for resources: ['security_group'].", QuotaExceeded, "ask the provider"),
        (413, "Maximum number of volumes allowed (10) exceeded for quota 'volumes'.", QuotaExceeded, "ask"),
        (403, "Maximum number of metadata items exceeds 128", InvalidRequest, "128"),
        (400, "Invalid key_name provided.", InvalidRequest, "key_name"),
        (404, "not found", NotFound, "not found"),
        (409, "Cannot 'stop' instance while it is in task_state image_snapshot", Transient, "try again"),
        (500, "two\nlines", Transient, "two lines (500): try again"),
        (503, "busy", Transient, "try again"),
    ],
)
def test_each_answer_has_its_type_and_one_line_of_advice(
    status: int, message: str, kind: type[CloudError], advice: str
) -> None:
    error = ErrorTranslator("http://here", "R", "the file").answered(status, message)
    assert type(error) is kind
    assert advice in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("No valid host was found. There are not enough hosts available.", OutOfCapacity),
        (
            "Exceeded maximum number of retries. Exhausted all hosts available for retrying",
            OutOfCapacity,
        ),
        ("Quota exceeded for instances: Requested 1, but already used 4 of 4 instances", QuotaExceeded),
        ("Build of instance aborted", Transient),
        ("", Transient),
    ],
)
def test_why_nova_gave_a_server_up_decides(reason: str, kind: type[CloudError]) -> None:
    assert type(ErrorTranslator("http://here", "R", "the file").given_up("gpu-1", 500, reason)) is kind


GOOD = clouds_yaml("http://127.0.0.1:9/v3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a clouds.yaml"),
        ("token", "is not a clouds.yaml"),
        ("clouds: [sesame", "is not a clouds.yaml"),
        ("clouds: {}", "has 0 clouds"),
        (f"{GOOD}  other: {{}}\n", r"has 2 clouds \(double, other\): leave only one"),
        ("clouds: {a: {region_name: r}}", "has no `auth`"),
        (GOOD.replace("    region_name: RegionOne\n", ""), "names no region: give this cloud one region"),
        (GOOD.replace("region_name: RegionOne", "regions: [A, {name: B}]"), "names A, B: give this cloud one region"),
        (GOOD.replace("password:", "passcode:"), "lacks password in `auth`"),
        (GOOD.replace("auth_url:", "url:"), "lacks auth_url in `auth`"),
        (f"{GOOD}    auth_type: v3token\n", "opens its cloud by 'v3token'"),
        (f"{GOOD}    auth_type: v3applicationcredential\n", "lacks application_credential_id and application_cred"),
    ],
)
def test_a_file_that_opens_no_cloud_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(AuthFailed, match=message) as caught:
        OpenStackCloud(Account("here", "openstack", "file"), text)
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("region_name: RegionOne", "regions: [A, B]"),
        lambda text: text.replace("RegionOne", "Elsewhere"),
        lambda text: text.replace("p" * 32, "another").replace("project_id", "project_name"),
        lambda text: text.replace("auth_url: http", "auth_url: http://127.0.0.1:9/not/"),
        lambda text: (
            text.replace("username", "application_credential_id")
            .replace("password", "application_credential_secret")
            .replace(f"      project_id: {'p' * 32}\n", "")
            .replace("      user_domain_id: default\n", "")
        ),
    ],
)
def test_what_the_account_says_is_right(memory: OpenStackStage, change: Callable[[str], str]) -> None:
    text = memory.account.credential()
    url = next(line.partition(": ")[2] for line in text.splitlines() if "auth_url" in line)
    account = replace(memory.account, region="RegionOne", project="p" * 32, endpoint=url)
    assert change(text) != text
    assert OpenStackCloud(account, change(text)).servers({}) == ()
