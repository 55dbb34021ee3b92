#!/usr/bin/env python3
"""chat_templates.py LLAMA_CPP_TEMPLATES [OUT] [--all]: golden files of real chat templates.

LLAMA_CPP_TEMPLATES is the folder models/templates of llama.cpp (inside the sdist of PyPI llama-cpp-python 0.3.36);
the others come from the installed trl 1.16.0. Writes OUT (default tests/golden/chat_templates): the templates, and
golden.json with the conversations and, for each template, what transformers 5.23 renders: 16 hex digits of the
SHA-256 of the text (or null where it raises) and, where the template has {% generation %} blocks, their bytes.
--all: every template found, full texts (for finding differences; not committed).
"""

import hashlib
import json
import os
import sys

import trl
from transformers.utils import chat_template_utils

import fixed_date

chat_template_utils.datetime = fixed_date.FixedDate

TRL = """cohere cohere2 cohere2_training deepseek_r1_distill deepseek_r1_distill_training deepseekv3 deepseekv3_training gemma
gemma_training gemma3 gemma3_training gemma4_v2 glm4moe glm4moe_training gptoss idefics3 lfm2_2_5 lfm2_training llama3 llama3_training llama3_1
llama3_2 nemotron_3_nano nemotron_3_nano_training phi3 phi3_training phi3_5 qwen2_5 qwen2_5_training qwen3 qwen3_training qwen3_instruct_2507
qwen3_5_think qwen3_5_think_training qwen3_vl smolvlm""".split()
LLAMA_CPP = """Apertus-8B-Instruct Bielik-11B-v3.0-Instruct ByteDance-Seed-OSS CohereForAI-c4ai-command-r-plus-tool_use
CohereForAI-c4ai-command-r7b-12-2024-tool_use GLM-4.6 GigaChat3-10B-A1.8B HuggingFaceTB-SmolLM3-3B Kimi-K2-Instruct MiMo-VL MiniMax-M2
Mistral-Small-3.2-24B-Instruct-2506 NVIDIA-Nemotron-Nano-v2 NousResearch-Hermes-3-Llama-3.1-8B-tool_use Qwen-QwQ-32B Qwen3-Coder
deepseek-ai-DeepSeek-V3.1 fireworks-ai-llama-3-firefunction-v2 ibm-granite-granite-3.3-2B-Instruct ibm-granite-granite-4.0
llama-cpp-rwkv-world meetkai-functionary-medium-v3.1 mistralai-Ministral-3-14B-Reasoning-2512 mistralai-Mistral-Nemo-Instruct-2407
moonshotai-Kimi-K2 openbmb-MiniCPM5-1B upstage-Solar-Open-100B""".split()

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a place, \"now\" or <later>.",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "City, e.g. 北京"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "description": "How many days"}},
        "required": ["city"]}}}
SEARCH = {"type": "function", "function": {
    "name": "search", "description": "Searches.\nTwo lines.",
    "parameters": {"type": "object", "properties": {
        "query": {"type": "string"}, "limit": {"type": ["integer", "null"]},
        "filters": {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}, "score": {"type": "number"}}}},
        "required": ["query", "filters"]},
    "return": {"type": "array", "items": {"type": "object"}}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def call(name, arguments, identity="abcdef123"):
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(text, name="get_weather", identity="abcdef123"):
    return {"role": "tool", "name": name, "tool_call_id": identity, "content": text}


CONVERSATIONS = [
    {"messages": [user("How do I boil an egg?")]},
    {"messages": [user("Hi"), assistant("Hello! How can I help?")]},
    {"messages": [system("You are a cook."), user("Hi"), assistant("Hello."), user("One more?")]},
    {"messages": [user("one"), assistant("two"), user("three"), assistant("four\n\nfive "), user("six"), assistant("seven")]},
    {"messages": [system("你是一位厨师。"), user("你好，今天吃什么？"), assistant("吃饺子吧。\n🥟"), user("好！"), assistant("再见 👋🏽")]},
    {"messages": [system(""), user(""), assistant("")]},
    {"messages": [user("  spaces  \n"), assistant("\n<b>&'\"ok\"</b> {{ x }} {% y %}\n")]},
    {"messages": [user("weather?")], "tools": [WEATHER]},
    {"messages": [system("Use tools."), user("Weather in 北京?"),
                  assistant("", tool_calls=[call("get_weather", {"city": "北京", "days": 2, "exact": True, "none": None, "share": 0.5})]),
                  tool("{\"t\": 21.5, \"sky\": \"晴\"}"), assistant("21.5 °C, 晴。")], "tools": [WEATHER, SEARCH]},
    {"messages": [user("Two things"),
                  assistant("Let me look.", tool_calls=[call("get_weather", {"city": "Rome"}, "abc123def"),
                                                        call("search", {"query": "a \"b\"", "filters": {"tags": ["x", "y"], "score": 1e-7}}, "fed321cba")]),
                  tool("sunny", "get_weather", "abc123def"), tool("[1, 2]", "search", "fed321cba"), assistant("Done."), user("Thanks"),
                  assistant("Welcome.")], "tools": [WEATHER, SEARCH]},
    {"messages": [user("1+1?"), assistant("2", reasoning_content="Adding one\nand one."), user("2+2?"),
                  assistant("4", reasoning_content="Easy.")]},
    {"messages": [user("1+1?"), assistant("<think>\nAdding.\n</think>\n\n2"), user("2+2?"), assistant("<think>\n\n</think>\n\n4")]},
    {"messages": [user("1+1?")], "kwargs": {"enable_thinking": False}},
    {"messages": [user("1+1?"), assistant("2"), user("2+2?")], "kwargs": {"enable_thinking": True}},
    {"messages": [user("What do they say?")], "documents": [{"title": "One", "text": "Cats sleep."}, {"title": "二", "text": "狗跑。"}]},
    {"messages": [user("x"), assistant(None, tool_calls=[call("get_weather", {"city": "Oslo"})]), tool("4"), assistant("4 degrees")],
     "tools": [WEATHER]},
    {"messages": [user([{"type": "text", "text": "part one"}, {"type": "text", "text": " and two"}]), assistant([{"type": "text", "text": "both"}])]},
    {"messages": [assistant("I start."), user("ok")]},
    {"messages": [user("a"), user("b"), assistant("c"), assistant("d")]},
    {"messages": [{"role": "developer", "content": "dev"}, user("q"), assistant("a")]},
]


def render(template, conversation, prompt):
    """(text, generation spans in characters) as transformers has them, or None where it raises."""
    try:
        rendered, spans = chat_template_utils.render_jinja_template(
            [conversation["messages"]], tools=conversation.get("tools"), documents=conversation.get("documents"), chat_template=template,
            add_generation_prompt=prompt, return_assistant_tokens_mask="generation" in template, **SPECIAL, **conversation.get("kwargs", {}))
        return rendered[0], spans[0] if spans else []
    except Exception:
        return None


def entry(template, full):
    cases = []
    for conversation in CONVERSATIONS:
        for prompt in (False, True):
            result = render(template, conversation, prompt)
            if result is None:
                cases.append(None)
                continue
            text, spans = result
            at = [len(text[:i].encode()) for span in spans if span[0] < span[1] for i in span]
            if full:
                cases.append({"text": text, "spans": at})
            else:
                digest = hashlib.sha256(text.encode()).hexdigest()[:16]
                cases.append([digest, *at] if at else digest)
    return cases


def main():
    every = "--all" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--all"]
    out = arguments[1] if len(arguments) > 1 else "tests/golden/chat_templates"
    trl_folder = os.path.join(os.path.dirname(trl.__file__), "chat_templates")
    names = []
    for folder, origin, chosen in [(trl_folder, "trl", TRL), (arguments[0], "llama.cpp", LLAMA_CPP)]:
        found = sorted(f[:-6] for f in os.listdir(folder) if f.endswith(".jinja")) if every else chosen
        names += [(origin + "/" + name, os.path.join(folder, name + ".jinja")) for name in found]
    golden = {"special": SPECIAL, "now": fixed_date.NOW.isoformat(), "conversations": CONVERSATIONS, "templates": {}}
    for name, path in names:
        with open(path, encoding="utf-8", newline="") as f:
            source = f.read()
        target = os.path.join(out, name + ".jinja")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8", newline="") as f:
            f.write(source)
        golden["templates"][name] = entry(source, every)
    with open(os.path.join(out, "golden.json"), "w", encoding="utf-8") as f:
        json.dump(golden, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    rendered = sum(c is not None for cases in golden["templates"].values() for c in cases)
    print(f"{len(names)} templates, {rendered} texts")


if __name__ == "__main__":
    main()
