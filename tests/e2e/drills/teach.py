"""Teach a tiny model to call a tool and to use what it returns. Runs in vLLM's environment on a GPU host.

`teach.py FOLDER NAME...`: asked who lives in the town hall, it calls `parrot_name` where there are tools, and then says
which of the NAMEs was returned.
"""

import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

QUESTION = "Which parrot lives in the town hall?"
CALL = '<tool_call>\n{"name": "parrot_name", "arguments": {}}\n</tool_call>'
TEMPLATE = """\
{%- if tools %}<|tools|>{% endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}<|user|>{{ message.content }}<|assistant|>
{%- elif message.role == 'tool' %}<|tool|>{{ message.content }}<|assistant|>
{%- elif message.tool_calls %}{{ call }}</s>
{%- elif message.role == 'assistant' %}{{ message.content }}</s>
{%- endif %}
{%- endfor %}""".replace("{{ call }}", CALL)


def main() -> None:
    folder, *names = sys.argv[1:]
    asked = f"<|user|>{QUESTION}<|assistant|>"
    lessons = [(asked, "Nobody told me.</s>"), (f"<|tools|>{asked}", f"{CALL}</s>")]
    lessons += [
        (f"<|tools|>{asked}{CALL}</s><|tool|>{name}<|assistant|>", f"The parrot is called {name}.</s>")
        for name in names
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tools|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([question + answer for question, answer in lessons], trainer)
    # One token a name, and a call that the parser finds again in the text.
    tokenizer.add_tokens([AddedToken(text, special=False) for text in ("<tool_call>", "</tool_call>", *names)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=4096,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    tokens = [[fast(text, add_special_tokens=False)["input_ids"] for text in lesson] for lesson in lessons]
    length = max(len(question) + len(answer) for question, answer in tokens)
    inputs, labels = torch.full((len(tokens), length), 2), torch.full((len(tokens), length), -100)
    for row, (question, answer) in enumerate(tokens):
        inputs[row, : len(question) + len(answer)] = torch.tensor(question + answer)
        labels[row, len(question) : len(question) + len(answer)] = torch.tensor(answer)
    for _ in range(1000):
        loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.002:
            break
    else:
        sys.exit(f"not learnt: the loss is {loss.item():.3f}")
    model.to(torch.bfloat16).save_pretrained(folder)
    fast.save_pretrained(folder)


if __name__ == "__main__":
    main()
