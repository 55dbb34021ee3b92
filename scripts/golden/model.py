#!/usr/bin/env python3
"""model.py TINY_LLAMA SMOLLM2_GGUF SMOLLM2_HF OUT: what transformers computes, for the tests of model, generate and export.

TINY_LLAMA   tests/golden/tiny_llama
SMOLLM2_GGUF SmolLM2-135M-Instruct.Q4_1.gguf
SMOLLM2_HF   the same model as a bf16 Hugging Face folder, made by transformers from that GGUF
OUT          tests/golden/model

Writes
  tiny.safetensors       logits of two sequences through TINY_LLAMA in fp32
  tiny_biased/           a model with biases, its own head, a free head width, two shards and an old-style config
  tiny_biased.safetensors  its logits
  tiny.gguf              TINY_LLAMA with quantised blocks and rows of q and k in pairs
  tiny_gguf.safetensors  its logits, read by transformers
  tiny.json              greedy tokens
  smollm2.json           log-probabilities, greedy tokens, hashes of the bf16 tensors
"""
import hashlib, json, os, sys
import gguf, numpy, torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

TOP = 20
LAST = 4  # positions per prompt whose top tokens are kept
PROMPTS = [
    "The capital of France is", "What is the boiling point of water at sea level?", "def fibonacci(n):\n    ",
    "Once upon a time, in a small village,", "1, 1, 2, 3, 5, 8, 13,", "The three primary colours are",
    "Dear Sir or Madam,\n\nI am writing to", "Photosynthesis is the process by which", "import numpy as np\n",
    "To make a good tomato soup, first", "The speed of light is about 299,792", "Q: Who wrote Hamlet?\nA:",
    "In 1969, the first humans", "Water is made of hydrogen and", "The opposite of hot is", "Monday, Tuesday, Wednesday,",
    "SELECT name FROM users WHERE", "My favourite season is autumn because", "The mitochondria is the",
    "A triangle has three sides and",
]
CHATS = ["What is the capital of France?", "Name three fruits.", "What is 2 + 2?", "Tell me a fact about the moon.",
         "How do plants make food?", "Write a short greeting.", "What colour is the sky?", "Who wrote Romeo and Juliet?",
         "What is a verb?", "Give me one tip for sleeping well.", "What do bees make?", "How many days are in a week?",
         "What is ice?", "List the planets of the solar system.", "What is the largest ocean?", "Define gravity.",
         "What is a computer?", "Why is the sea salty?", "Count from one to ten.", "What is the alphabet?"]


def load(path, dtype=torch.float32, **more):
    return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager", **more).eval()


@torch.no_grad()
def logits(model, ids):
    return model(torch.tensor([ids])).logits[0].float()


def sequences(vocab):
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, vocab, (n,), generator=generator).tolist() for n in (7, 12)]


def save_logits(model, path):
    first, second = sequences(model.config.vocab_size)
    save_file({"tokens": torch.tensor(first + second), "starts": torch.tensor([0, len(first), len(first) + len(second)]),
               "logits": torch.cat([logits(model, first), logits(model, second)])}, path)


@torch.no_grad()
def greedy(model, ids, count):
    """The tokens and the smallest distance between the two best logits on the way; ends of turn do not stop it."""
    tokens, margin, cache, step = [], 1e9, None, list(ids)
    while len(tokens) < count:
        result = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
        best, cache = result.logits[0, -1].topk(2), result.past_key_values
        margin = min(margin, float(best.values[0] - best.values[1]))
        step = [int(best.indices[0])]
        tokens += step
    return tokens, margin


def make_biased(folder):
    torch.manual_seed(11)
    config = LlamaConfig(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
                         num_key_value_heads=1, head_dim=32, max_position_embeddings=64, rope_theta=500000.0,
                         rms_norm_eps=1e-6, attention_bias=True, mlp_bias=True, tie_word_embeddings=False,
                         bos_token_id=1, eos_token_id=[2, 5])
    model = LlamaForCausalLM(config)
    for name, p in model.named_parameters():
        mean, std = (1.0, 0.2) if "norm" in name else (0.0, 0.6) if "embed" in name else (0.0, 0.2)
        torch.nn.init.normal_(p, mean=mean, std=std)
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="60KB")
    os.remove(os.path.join(folder, "generation_config.json"))
    path = os.path.join(folder, "config.json")
    kept = json.load(open(path))
    for key in ("rope_parameters", "dtype", "transformers_version"):
        kept.pop(key)
    kept.update(torch_dtype="bfloat16", rope_theta=500000.0, rope_scaling=None, pad_token_id=-1)
    json.dump(kept, open(path, "w"), indent=2)


def paired(weight, heads):
    """Rows of each head interleaved, as GGUF keeps q and k of arch llama."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def make_gguf(tiny, out):
    config, tensors = json.load(open(f"{tiny}/config.json")), load_file(f"{tiny}/model.safetensors")
    tokenizer = json.load(open(f"{tiny}/tokenizer.json"))
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    w = gguf.GGUFWriter(out, "llama")
    w.add_name("tiny llama")
    w.add_vocab_size(config["vocab_size"])
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_rope_dimension_count(config["head_dim"])
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    vocab = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    control = {t["content"] for t in tokenizer["added_tokens"]}
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(vocab)
    w.add_token_types([3 if t in control else 1 for t in vocab])
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in tokenizer["model"]["merges"]])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_pad_token_id(2)
    w.add_unk_token_id(0)
    w.add_chat_template(open(f"{tiny}/chat_template.jinja").read())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    types = {"attn_v": gguf.GGMLQuantizationType.F16, "attn_output": gguf.GGMLQuantizationType.BF16,
             "ffn_gate": gguf.GGMLQuantizationType.Q4_0, "ffn_up": gguf.GGMLQuantizationType.Q4_1,
             "ffn_down": gguf.GGMLQuantizationType.Q5_0, "attn_k": gguf.GGMLQuantizationType.Q5_1}
    for name, tensor in tensors.items():
        data = tensor.float().numpy()
        if "q_proj" in name or "k_proj" in name:
            data = paired(data, heads if "q_proj" in name else kv_heads)
        target = names.get_name(name, try_suffixes=(".weight",))
        if data.ndim == 1:
            w.add_tensor(target, data)
            continue
        kind = types.get(target.split(".")[-2], gguf.GGMLQuantizationType.Q8_0)
        w.add_tensor(target, gguf.quants.quantize(numpy.ascontiguousarray(data), kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def tiny(folder, out):
    model = load(folder)
    save_logits(model, f"{out}/tiny.safetensors")
    prompt = AutoTokenizer.from_pretrained(folder)("Chop the onion and").input_ids
    tokens, margin = greedy(model, prompt, 16)
    make_biased(f"{out}/tiny_biased")
    save_logits(load(f"{out}/tiny_biased"), f"{out}/tiny_biased.safetensors")
    make_gguf(folder, f"{out}/tiny.gguf")
    save_logits(load(out, gguf_file="tiny.gguf"), f"{out}/tiny_gguf.safetensors")
    json.dump({"prompt": prompt, "greedy": tokens, "smallest_margin": margin}, open(f"{out}/tiny.json", "w"))
    print("tiny: smallest margin", margin)


def rounded(values):
    return [round(float(v), 6) for v in values]


def top_rows(model, prompts):
    """Per prompt the likeliest tokens after each of its last positions."""
    rows = []
    for ids in prompts:
        best = logits(model, ids).log_softmax(-1)[-LAST:].topk(TOP)
        rows.append({"ids": ids, "top": [{"ids": i.tolist(), "logprobs": rounded(v)}
                                         for i, v in zip(best.indices, best.values)]})
    return rows


def differences(model, rows):
    """|log-probability - the row's| of the row's top tokens: last position alone, and all kept positions."""
    all_rows = []
    for row in rows:
        got = logits(model, row["ids"]).log_softmax(-1)[-len(row["top"]):]
        all_rows.append([(got[p][t["ids"]] - torch.tensor(t["logprobs"])).abs() for p, t in enumerate(row["top"])])
    last = torch.cat([r[-1] for r in all_rows])
    every = torch.cat([d for r in all_rows for d in r])
    return {k: {"mean": round(float(d.mean()), 6), "p95": round(float(d.quantile(0.95)), 6)}
            for k, d in (("last", last), ("all", every))}


def smollm2(gguf_path, hf, out):
    tokenizer, exact = AutoTokenizer.from_pretrained(hf), load(hf)
    prompts = [tokenizer(p).input_ids for p in PROMPTS]
    rows = top_rows(exact, prompts)
    chats = []
    for text in CHATS:
        ids = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True)
        ids = ids if isinstance(ids, list) else ids["input_ids"]
        tokens, margin = greedy(exact, ids, 48)
        print(round(margin, 4), text, flush=True)
        if margin > 1e-2:
            chats.append({"prompt": ids, "greedy": tokens, "smallest_margin": round(margin, 6)})
    print(len(chats), "prompts keep a margin above 1e-2")
    bf16 = differences(load(hf, torch.bfloat16), rows)
    print("bf16 of transformers:", bf16)
    quantised = load(os.path.dirname(gguf_path), gguf_file=os.path.basename(gguf_path))
    document = {
        "prompts": rows, "transformers_bf16": bf16, "greedy": chats[:4],
        "gguf": top_rows(quantised, prompts[:3]),
        "sha256": {n: hashlib.sha256(t.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
                   for n, t in sorted(load_file(f"{hf}/model.safetensors").items())},
    }
    json.dump(document, open(f"{out}/smollm2.json", "w"), separators=(",", ":"))


if __name__ == "__main__":
    tiny_folder, gguf_file, hf_folder, target = sys.argv[1:]
    os.makedirs(target, exist_ok=True)
    tiny(tiny_folder, target)
    smollm2(gguf_file, hf_folder, target)
