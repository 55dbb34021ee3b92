"""llama.cpp as the benchmarks ask it: fp32 keys and values, no flash attention, two threads. Needs xllamacpp (PyPI)."""

import xllamacpp


def llama_server(gguf, lora=None):
    """A server of the model `gguf`, with the GGUF LoRA `lora` on it."""
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel, params.warmup, params.cpuparams.n_threads = 512, 1, False, 2
    params.verbosity = 0
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if lora:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(lora), 1.0)]
    return xllamacpp.Server(params)
