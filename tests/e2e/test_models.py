"""The answers are the models' own: vLLM counted the tokens, and direct inference on the same weights agrees."""

import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import openai
import pytest
from testinfra.host import Host

QUESTION = "What is the capital of France?"
GENERATED = re.compile(r"^vllm:generation_tokens_total\{.*\} (\S+)$", re.MULTILINE)

GENERATE = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, text = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
prompt = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True,
                                       return_tensors="pt", return_dict=True)
tokens = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0][prompt["input_ids"].shape[1]:]
print(json.dumps(tokenizer.decode(tokens, skip_special_tokens=True)))
"""

EMBED = """
import json, sys, torch
from transformers import AutoModel, AutoTokenizer
folder, text = sys.argv[1:]
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
inputs = tokenizer(text, return_tensors="pt")
with torch.no_grad():
    states = model(**inputs).last_hidden_state[0]
print(json.dumps(torch.nn.functional.normalize(states.mean(0), dim=0).tolist()))
"""


def infer(gpu: Host, program: str, model: str, text: str) -> object:
    """Run a program on the GPU host in vLLM's own environment, and read what it printed last as JSON."""
    python = "cd /tmp && CUDA_VISIBLE_DEVICES= HF_HUB_OFFLINE=1 /opt/vllm/bin/python -c"
    run = gpu.run(f"{python} %s %s %s", program, f"/opt/models/{model}", text)
    assert run.succeeded, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def generated_tokens(gpu: Host) -> int:
    ask = 'curl -sf -H "Authorization: Bearer $(cat /etc/parrotpark/credentials/vllm_api_key)" %s'
    return int(float(GENERATED.findall(gpu.check_output(ask, "http://127.0.0.1:8001/metrics"))[0]))


def test_chat_is_greedy_inference_on_the_same_weights(gpu: Host, client: openai.OpenAI, generate_model: str) -> None:
    before = generated_tokens(gpu)
    answer = client.chat.completions.create(
        model=generate_model, messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=24
    )
    assert answer.usage is not None
    # The model's watch asks for a token, too, every few seconds.
    assert 0 <= generated_tokens(gpu) - before - answer.usage.completion_tokens <= 2
    direct = str(infer(gpu, GENERATE, generate_model, QUESTION))
    assert len(direct.split()) > 2
    assert (answer.choices[0].message.content or "").startswith(direct)


def test_embedding_is_direct_inference(gpu: Host, client: openai.OpenAI, embed_model: str) -> None:
    text = "A parrot repeats what it hears."
    ours = client.embeddings.create(model=embed_model, input=text).data[0].embedding
    direct = infer(gpu, EMBED, embed_model, text)
    assert isinstance(direct, list)
    norms = math.hypot(*ours) * math.hypot(*direct)
    assert sum(a * b for a, b in zip(ours, direct, strict=True)) / norms >= 0.999


@contextmanager
def stopped(gpu: Host, unit: str) -> Iterator[None]:
    gpu.check_output(f"systemctl stop {unit}")
    try:
        yield
    finally:
        gpu.check_output(f"systemctl start {unit}")


def test_without_the_model_the_question_fails_clearly(gpu: Host, client: openai.OpenAI, generate_model: str) -> None:
    question = {"model": generate_model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 4}
    with stopped(gpu, f"vllm@{generate_model}"):
        begin = time.monotonic()
        with pytest.raises(openai.APIStatusError, match="asleep"):
            client.with_options(max_retries=0).chat.completions.create(**question)  # type: ignore[call-overload]
        assert time.monotonic() - begin < 30
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            client.chat.completions.create(**question)  # type: ignore[call-overload]
        except openai.APIError:
            time.sleep(3)
        else:
            return
    pytest.fail("the model did not come back within 240 s")
