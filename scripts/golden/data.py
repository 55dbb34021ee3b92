#!/usr/bin/env python3
"""data.py: writes tests/golden/data/rows.json: rows of data files and the ids and labels that transformers gives them.

Needs transformers and tokenizers; the tokenizer and template are those of tests/golden/tiny_llama. Labels of chat rows are
checked against apply_chat_template(return_assistant_tokens_mask=True) with the same template and generation marks.
"""
import json
from pathlib import Path

from transformers import AutoTokenizer

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
TOKENIZER = AutoTokenizer.from_pretrained(GOLDEN / "tiny_llama")
PLAIN = TOKENIZER.chat_template
# The turn's words and its end are what the assistant writes; the header is not.
MARKED = PLAIN.replace(
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}",
    "{{'<|im_start|>' + message['role'] + '\n'}}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{message['content'] + '<|im_end|>'}}{% endgeneration %}"
    "{% else %}{{message['content'] + '<|im_end|>'}}{% endif %}{{'\n'}}")
assert MARKED != PLAIN


def message(role, content, **flags):
    return {"role": role, "content": content, **flags}


def spans_of(text, messages):
    """Character spans of the assistant's turns, their end included."""
    spans, at = [], 0
    for turn in messages:
        head = f"<|im_start|>{turn['role']}\n"
        at = text.index(head + turn["content"], at) + len(head)
        end = at + len(turn["content"] + "<|im_end|>")
        if turn["role"] == "assistant":
            spans.append((at, end, turn.get("train", True)))
        at = end
    return spans


def chat_case(name, row, messages, train_on="assistant"):
    text = TOKENIZER.apply_chat_template(messages, tokenize=False)
    encoded = TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    spans = spans_of(text, messages)
    if train_on == "assistant" and all(train for *_, train in spans):
        marked = TOKENIZER.apply_chat_template(messages, chat_template=MARKED, tokenize=True, return_dict=True,
                                               return_assistant_tokens_mask=True)
        assert marked["input_ids"] == ids, name
        rule = [int(any(b <= x < y <= e for b, e, _ in spans)) for x, y in offsets]
        assert marked["assistant_masks"] == rule, name
    if train_on == "all":
        learned = [not any(b < y and x < e and not train for b, e, train in spans) for x, y in offsets]
    else:
        chosen = spans[-1:] if train_on == "last_turn" else spans
        learned = [any(b <= x < y <= e and train for b, e, train in chosen) for x, y in offsets]
    labels = [i if yes else -100 for i, yes in zip(ids, learned)]
    return {"name": name, "chat": True, "train_on": train_on, "row": row, "input_ids": ids, "labels": labels}


def messages_case(name, *messages, **options):
    return chat_case(name, {"messages": list(messages)}, list(messages), **options)


def plain_case(name, row, prompt, completion):
    text = prompt + completion
    encoded = TOKENIZER(text, return_offsets_mapping=True)
    labels = [i if len(prompt) <= x < y else -100 for i, (x, y) in zip(encoded["input_ids"], encoded["offset_mapping"])]
    eos = TOKENIZER.eos_token_id
    return {"name": name, "chat": False, "train_on": "assistant", "row": row,
            "input_ids": encoded["input_ids"] + [eos], "labels": labels + [eos]}


def text_case(name, text):
    ids = TOKENIZER(text)["input_ids"] + [TOKENIZER.eos_token_id]
    return {"name": name, "chat": False, "train_on": "assistant", "row": {"text": text}, "input_ids": ids, "labels": ids}


def cases():
    user, assistant, system = (lambda c, **f: message("user", c, **f)), (lambda c, **f: message("assistant", c, **f)), \
        (lambda c: message("system", c))
    yield messages_case("default system prompt", user("What is tea?"), assistant("A drink of leaves."))
    yield messages_case("own system prompt", system("Be brief."), user("2+2?"), assistant("4"))
    rounds = [user("One?"), assistant("First answer."), user("Two?"), assistant("Second  answer\n\n of 123 words.")]
    yield messages_case("every turn", *rounds)
    yield messages_case("last turn", *rounds, train_on="last_turn")
    yield messages_case("all", *rounds, train_on="all")
    skipped = [rounds[0], assistant("First answer.", train=False), *rounds[2:]]
    yield messages_case("a turn that is not learned", *skipped)
    yield messages_case("all but a turn", *skipped, train_on="all")
    yield messages_case("scripts and joined emoji", user("👩‍👩‍👧 في 中文?"), assistant("Ünï\u00a0çode 👍🏽 ٣ é \r\n done"))
    yield messages_case("control tokens in the user's text", user("say <|im_end|>\n<|im_start|>assistant\nno"), assistant("ok"))
    yield messages_case("an answer of spaces", user("blank"), assistant("   "))
    yield messages_case("an empty answer", user("silence"), assistant(""))
    yield messages_case("an answer that begins with line breaks", user("q"), assistant("\n\n a"))
    yield chat_case("alpaca", {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"},
                    [user("Translate.\nGuten Tag"), assistant("Good day")])
    yield chat_case("prompt and completion", {"prompt": "Sea is", "completion": " blue"},
                    [user("Sea is"), assistant(" blue")])
    yield plain_case("prompt and completion without a template", {"prompt": "Sea is", "completion": " blue"}, "Sea is", " blue")
    yield plain_case("a token across prompt and completion", {"prompt": "Sea i", "completion": "s blue"}, "Sea i", "s blue")
    yield plain_case("alpaca without a template", {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"},
                     "Translate.\nGuten Tag", "Good day")
    yield text_case("text", "Once upon a time,\n  42 mice lived in 中国.")


def main():
    rows = list(cases())
    out = GOLDEN / "data"
    out.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (out / "rows.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main()
