"""The GPU host goes and comes back; on the entry server no process notices, and the chat stays."""

import subprocess

import httpx2
import openai
import pytest
from testinfra.host import Host

SERVICES = "caddy litellm open-webui postgresql@17-main ssh nftables wg-quick@wg0"


def processes(entry: Host) -> str:
    return entry.check_output(f"systemctl show --property=Id,ActiveState,InvocationID,MainPID {SERVICES}")


def make(target: str) -> str:
    run = subprocess.run(["make", target], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def gpu_hosts() -> str:
    return subprocess.run(["ansible", "gpu", "--list-hosts"], check=True, capture_output=True, text=True).stdout


def test_sleep_and_wake(
    entry: Host, browse_as_admin: httpx2.Client, client: openai.OpenAI, generate_model: str
) -> None:
    def ask() -> str:
        question = "What is the capital of France?"
        answer = client.with_options(max_retries=0).chat.completions.create(
            model=generate_model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=24
        )
        return answer.choices[0].message.content or ""

    before, said = processes(entry), ask()
    make("sleep")
    assert "gpu-1" not in gpu_hosts()
    browse_as_admin.get("/api/v1/chats/").raise_for_status()
    with pytest.raises(openai.APIStatusError, match="asleep"):
        ask()
    assert "changed=0" in make("site").split("PLAY RECAP")[1]
    assert "gpu-1" not in gpu_hosts()
    make("wake")
    assert ask() == said
    assert processes(entry) == before
