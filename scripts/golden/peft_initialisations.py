#!/usr/bin/env python3
"""peft_initialisations.py OUT [CASE…]: what PEFT's initialisations of LoRA do with the tiny families, as small files.

OUT/initialisations/cases.json: the cases whose factors start as parts of the weight (PiSSA, OLoRA). Of each, in <case>/:
  trained/      the adapter as PEFT saves it after STEPS steps of plain gradient descent, its base changed
  converted/    the same as a plain LoRA (path_initial_model_for_weight_conversion), where PEFT can
  expected.safetensors   of each module in turn wave() of the product that is taken out of the base, of what is left of the
                weight, of the product trained, and the sizes of the start's factors; gradients as they move the product
                (B dA and dB A: whatever the signs of singular vectors are); losses; log-probabilities of every second id; how
                far from them PEFT's merged model, converted/ on the plain base, and trained/ loaded again are, also in bf16
OUT/initialisations/draws.json: what the random initialisations of a large linear are like, and how much of the weight PEFT's
randomised PiSSA takes. words.json: of the words of init_lora_weights what PEFT does when it loads an adapter that it saved with
them; <family>_<word>/: adapters of some that leave the base alone. OUT/methods/<family>_<word>/: as peft_methods.py makes them,
with the factors that PEFT draws. All arithmetic is fp32 on the CPU. With names of cases only those are made.
"""
import json, os, shutil, sys, tempfile, warnings
import torch
from peft import EvaConfig, LoraConfig, LoraGAConfig, PeftModel, get_peft_model, initialize_lora_eva_weights
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import preprocess_loraga
from safetensors.torch import save_file
from peft_methods import LABELS, SEQUENCES, base, log_probs, lora, loss_of, make_case, save, wave

warnings.filterwarnings("ignore")
STEPS, RATE = 3, 0.02  # steeper, rounding grows with the steps: PEFT's own fp32 is then 1e-4 from fp64
SEEDS = 64
ROWS = list(zip(SEQUENCES, LABELS))

DERIVED = {
    "llama_pissa": lora(init_lora_weights="pissa", target_modules=["o_proj", "gate_proj"]),
    "qwen2_pissa": lora(init_lora_weights="pissa"),
    "gemma2_pissa": lora(init_lora_weights="pissa", lora_alpha=3),
    "llama_olora": lora(init_lora_weights="olora"),
    "qwen2_olora": lora(init_lora_weights="olora", target_modules=["k_proj", "up_proj"], lora_alpha=1),
    "gemma2_olora": lora(init_lora_weights="olora"),
    # So many rounds that only the signs are drawn.
    "llama_pissa_niter": lora(init_lora_weights="pissa_niter_300"),
    "qwen2_pissa_niter": lora(init_lora_weights="pissa_niter_300", r=3),
    "gemma2_pissa_niter": lora(init_lora_weights="pissa_niter_3000", target_modules=["k_proj", "down_proj"]),
    "qwen2_pissa_rslora": lora(init_lora_weights="pissa", use_rslora=True, r=3),
    "llama_pissa_patterns": lora(init_lora_weights="pissa", rank_pattern={"q_proj": 3}, alpha_pattern={"down_proj": 1}),
    # What PEFT does not convert, or not with all that was trained.
    "gemma2_olora_rslora_patterns": lora(init_lora_weights="olora", use_rslora=True, rank_pattern={"down_proj": 3}),
    "qwen2_pissa_rslora_patterns": lora(init_lora_weights="pissa", use_rslora=True, alpha_pattern={r"1\.self_attn\.q_proj": 2}),
    "llama_pissa_dora": lora(init_lora_weights="pissa", use_dora=True),
    "gemma2_olora_dora": lora(init_lora_weights="olora", use_dora=True, target_modules=["o_proj", "gate_proj"]),
}
DRAWN = {f"{family}_{word}": lora(init_lora_weights=word)
         for family in ("llama", "qwen2", "gemma2") for word in ("gaussian", "orthogonal")}


def adapted(model):
    """The adapted linears by their paths in the base."""
    return {name.removeprefix("base_model.model."): module for name, module in model.named_modules() if isinstance(module, LoraLinear)}


def factors(module):
    return module.lora_A["default"].weight, module.lora_B["default"].weight, module.scaling["default"]


@torch.no_grad()
def product(module):
    a, b, scale = factors(module)
    return scale * b @ a


def movements(model, prefix):
    """How the gradients of A and B move their product; those of DoRA's magnitudes."""
    modules = list(adapted(model).values())
    pairs = [factors(module)[:2] for module in modules]
    moved = {"moved_by_a": torch.stack([wave(b.detach() @ a.grad) for a, b in pairs]),
             "moved_by_b": torch.stack([wave(b.grad @ a.detach()) for a, b in pairs])}
    magnitudes = [module.lora_magnitude_vector["default"].weight for module in modules if "default" in module.lora_magnitude_vector]
    if magnitudes:
        moved["magnitudes"] = torch.stack([wave(magnitude.grad) for magnitude in magnitudes])
    return {prefix + key: value for key, value in moved.items()}


def descend(model):
    """Plain gradient descent: close numbers stay close."""
    losses = []
    for _ in range(STEPS):
        loss = loss_of(model, ROWS)
        loss.backward()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for p in model.parameters():
                if p.requires_grad:
                    p -= RATE * p.grad
                    p.grad = None
    return losses


def difference(log_probabilities, model):
    return torch.tensor([float((log_probs(model) - log_probabilities).abs().max())])


def keep_what_shows(name, expected, trained, converted):
    """Not: a conversion that lost something (DoRA's magnitudes); drawn factors, which PEFT draws anew when it loads them; a second
    kind of the same."""
    if "converted_gap" not in expected or float(expected["converted_gap"]) > 1e-3 or name in ("llama_pissa_niter", "qwen2_pissa_niter"):
        shutil.rmtree(converted, ignore_errors=True)
    if "niter" in name or name in ("qwen2_pissa_rslora", "llama_pissa_patterns"):
        shutil.rmtree(trained)
    expected["log_probs"] = expected["log_probs"][:, ::2]


def reloaded(family, folder, dtype=torch.float32):
    torch.manual_seed(5)
    return PeftModel.from_pretrained(base(family, dtype), folder)


def distance_in_bf16(log_probabilities, family, folder):
    """Of what PEFT computes in bf16, from fp32."""
    return (log_probs(reloaded(family, folder, torch.bfloat16)).float() - log_probabilities).square().mean().sqrt().reshape(1)


def start_of(model, family):
    modules = list(adapted(model).values())
    expected = {"start.gap": difference(log_probs(base(family)), model),
                "start.product": torch.stack([wave(product(module)) for module in modules]),
                "start.left": torch.stack([wave(module.get_base_layer().weight.detach()) for module in modules])}
    pairs = [factors(module)[:2] for module in modules]
    expected["start.sizes"] = torch.cat([sizes.detach() for a, b in pairs for sizes in (a.norm(dim=1), b.norm(dim=0))])
    loss_of(model, ROWS).backward()
    expected |= movements(model, "start.")
    model.zero_grad()
    return expected


def convert(model, folder, initial, family):
    """What the conversion says that it cannot do is no case."""
    try:
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=initial)
    except ValueError as error:
        return str(error)
    config = os.path.join(folder, "adapter_config.json")
    said = json.load(open(config))
    said["base_model_name_or_path"] = family
    said["target_modules"] = sorted(said["target_modules"])
    json.dump(said, open(config, "w"), indent=1, sort_keys=True)
    os.remove(os.path.join(folder, "README.md"))


def make_derived(name, config, out):
    family, word = name.split("_")[0], config.init_lora_weights
    torch.manual_seed(11)
    model = get_peft_model(base(family), config)
    expected = start_of(model, family)
    starts = [product(module) for module in adapted(model).values()]
    with tempfile.TemporaryDirectory() as initial:
        # Its conversion wants the start saved with an initialisation that leaves the base alone.
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(initial)
        model.peft_config["default"].init_lora_weights = word
        expected["losses"] = torch.tensor(descend(model))
        expected["log_probs"] = log_probs(model)
        expected["product"] = torch.stack([wave(product(m) - start) for m, start in zip(adapted(model).values(), starts)])
        loss_of(model, ROWS).backward()
        expected |= movements(model, "")
        folder = os.path.join(out, name)
        trained, converted = os.path.join(folder, "trained"), os.path.join(folder, "converted")
        save(model, trained, family)
        refused = convert(model, converted, initial, family)
    expected["reloaded_gap"] = difference(expected["log_probs"], reloaded(family, trained))
    expected["bf16_rms"] = distance_in_bf16(expected["log_probs"], family, trained)
    if refused is None:
        expected["converted_gap"] = difference(expected["log_probs"], reloaded(family, converted))
    expected["merged_gap"] = difference(expected["log_probs"], model.merge_and_unload())
    keep_what_shows(name, expected, trained, converted)
    save_file({k: v.contiguous().clone() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"))
    print(f"{name}:", {k: f"{float(v):.1e}" for k, v in expected.items() if k.endswith("gap")}, refused or "")


def train_a_little(model):
    """Every trained tensor moves, by noise: only the adapter's own numbers matter here."""
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p += 0.1 * torch.randn_like(p)


def with_word(family, word):
    """A trained adapter of an initialisation, as PEFT makes it."""
    config = lora(init_lora_weights=word, target_modules=["q_proj", "v_proj", "down_proj"])
    model = base(family)
    if word == "eva":
        config.eva_config = EvaConfig(rho=2.0)
        model = get_peft_model(model, config)
        batch = {"input_ids": torch.tensor([SEQUENCES[0], SEQUENCES[0][::-1]]), "attention_mask": torch.ones(2, len(SEQUENCES[0]))}
        initialize_lora_eva_weights(model, [batch] * 4, show_progress_bar=False)
    elif word == "lora_ga":
        config.lora_ga_config = LoraGAConfig()
        preprocess_loraga(model, config, lambda: loss_of(model, ROWS).backward())
        model = get_peft_model(model, config)
    elif word == "corda":  # its own start needs another package; any change of the base will do
        config.init_lora_weights = "pissa"
        model = get_peft_model(model, config)
        config.init_lora_weights = word
    else:
        model = get_peft_model(model, config)
    train_a_little(model)
    return model


def make_words(out):
    words = {}
    for family, word, kept in [("llama", True, False), ("qwen2", False, True), ("gemma2", "Gaussian", False), ("llama", "eva", True),
                               ("gemma2", "mica", True), ("llama", "pissa_niter_4", False),
                               ("qwen2", "pissa_niter_16", False), ("llama", "corda", False),
                               ("llama", "lora_ga", False)]:
        torch.manual_seed(11)
        model = with_word(family, word)
        expected = log_probs(model)
        name = f"{family}_{str(word).lower()}"
        folder = os.path.join(out, name) if kept else tempfile.mkdtemp()
        save(model, folder, family)
        try:
            gap = float(difference(expected, reloaded(family, folder)))
            words[name] = {"init_lora_weights": word, "reloaded_gap": round(gap, 8)}
        except (AssertionError, ValueError) as error:
            words[name] = {"init_lora_weights": word, "error": str(error).split("\n")[0][:100]}
        if kept:
            save_file({"log_probs": expected}, os.path.join(folder, "expected.safetensors"))
        print(words[name])
    json.dump(words, open(os.path.join(out, "words.json"), "w"), indent=1)


def one_linear(word, seed, rows=300, columns=200, r=8):
    torch.manual_seed(seed)
    holder = torch.nn.ModuleDict({"linear": torch.nn.Linear(columns, rows, bias=False)})
    torch.manual_seed(1)
    torch.nn.init.normal_(holder["linear"].weight, std=0.02)
    weight = holder["linear"].weight.detach().clone()
    torch.manual_seed(seed)
    model = get_peft_model(holder, LoraConfig(r=r, lora_alpha=r, target_modules=["linear"], init_lora_weights=word))
    return weight, adapted(model)["linear"]


def make_draws(out):
    """Of a linear [300,200] with rank 8: sizes as means over seeds."""
    draws = {}
    for word in (True, "gaussian", "orthogonal"):
        sums = torch.zeros(5, dtype=torch.float64)
        for seed in range(SEEDS):
            a, b, _ = factors(one_linear(word, seed)[1])
            directions = torch.linalg.svdvals(a.detach())
            sums += torch.tensor([a.square().mean().sqrt(), a.abs().max(), b.square().mean().sqrt(),
                                  (b @ a).abs().max(), (directions > 1e-3 * directions[0]).sum()], dtype=torch.float64)
        keys = ("rms_a", "largest_a", "rms_b", "largest_product", "directions_of_a")
        draws[str(word).lower()] = {k: float(f"{float(v):.4g}") for k, v in zip(keys, sums / SEEDS)}
    for word in ("pissa", "pissa_niter_1", "pissa_niter_4", "pissa_niter_16"):
        taken = []
        for seed in range(8 if "niter" in word else 1):
            weight, module = one_linear(word, seed)
            taken.append(float(product(module).norm() / weight.norm()))
        draws[word] = {"least_taken": round(min(taken), 5), "most_taken": round(max(taken), 5)}
    print(draws)
    json.dump(draws, open(os.path.join(out, "draws.json"), "w"), indent=1)


def write_cases(out):
    """What the cases are, in PEFT's words."""
    words = ("init_lora_weights", "r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern")
    cases = {name: {word: getattr(config, word) for word in words} | {"target_modules": sorted(config.target_modules)}
             for name, config in DERIVED.items()}
    json.dump({"learning_rate": RATE, "cases": cases}, open(os.path.join(out, "cases.json"), "w"), indent=1)


def main():
    out = os.path.join(sys.argv[1], "initialisations")
    wanted = sys.argv[2:]
    os.makedirs(out, exist_ok=True)
    write_cases(out)
    for name, config in DERIVED.items():
        if not wanted or name in wanted:
            make_derived(name, config, out)
    for name, config in DRAWN.items():
        if not wanted or name in wanted:
            make_case(name, config, os.path.join(sys.argv[1], "methods"))
    if not wanted:
        make_words(out)
        make_draws(out)


if __name__ == "__main__":
    main()
