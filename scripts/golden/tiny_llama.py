#!/usr/bin/env python3
"""tiny_llama.py OUT: the test model, made with transformers and tokenizers from a fixed seed.

A two-layer Llama (D 64, H 4, K 2, F 128, V 512, tied head) in bf16 with a byte-level BPE tokenizer that splits digits as
SmolLM2's does, its control tokens and its chat template. Small enough to commit, every part real.
"""
import json, os, sys
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

CORPUS = [
    "Chop the onion and the garlic, then fry them in a little butter until they are soft and golden.",
    "Mix flour, sugar, eggs and milk in a bowl. Bake at 180 degrees for 25 minutes.",
    "What is the capital of France? The capital of France is Paris.",
    "system user assistant You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    "How do I make a good tomato soup? Simmer the tomatoes with basil, salt and pepper.",
    "你好，世界。保险合同的条款应当清楚。", "naïve café déjà vu — “quotes” … 🙂👩‍🍳",
    "for (int i = 0; i < 10; ++i) { sum += values[i]; }",
] * 4


def make_tokenizer():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=[AddedToken(s, special=True, normalized=False) for s in special],
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tok.train_from_iterator(CORPUS, trainer)
    return tok


def make_model():
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=512, rope_theta=100000.0, rms_norm_eps=1e-5,
                         tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model = LlamaForCausalLM(config)
    for name, p in model.named_parameters():
        mean, std = (1.0, 0.2) if "norm" in name else (0.0, 0.6) if "embed" in name else (0.0, 0.15)
        torch.nn.init.normal_(p, mean=mean, std=std)
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    return model


def main(out):
    fast = PreTrainedTokenizerFast(tokenizer_object=make_tokenizer(), bos_token="<|im_start|>", eos_token="<|im_end|>",
                                   pad_token="<|im_end|>", unk_token="<|endoftext|>", model_max_length=512)
    fast.chat_template = TEMPLATE
    model = make_model()
    model.save_pretrained(out)
    fast.save_pretrained(out)
    path = os.path.join(out, "tokenizer_config.json")
    tokenizer_config = json.load(open(path))
    tokenizer_config["chat_template"] = TEMPLATE
    json.dump(tokenizer_config, open(path, "w"), indent=2, ensure_ascii=False)
    ids = fast("Chop 123 onions", return_tensors="pt").input_ids
    print(len(fast), ids.tolist(), model.float()(ids).logits[0, -1].log_softmax(-1).topk(3))


main(sys.argv[1])
