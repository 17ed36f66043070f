"""The table of families: one entry for each configuration that is tried, a family's variants beside each other."""

from __future__ import annotations

from typing import Any

from family import VOCABULARY, WIDTH, Family

SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
NARROW = {**GROUPED, "head_dim": 8}
WINDOWED = {**NARROW, "sliding_window": 4, "query_pre_attn_scalar": 8}
MIXED = {"num_experts": 4, "num_experts_per_tok": 2}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 12,
}
ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "moe_intermediate_size": 24}
GPT = {"n_embd": WIDTH, "n_layer": 3, "n_head": 4, "n_positions": 64}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention", "full_attention"],
}
SEES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 8}


def grouped(config: str, fields: dict[str, Any] = GROUPED, **about: Any) -> Family:
    """Four query heads over two key/value heads, and the module names of Llama unless said otherwise."""
    return Family(config=config, fields=fields, **{"n_key_heads": 2, **about})


def joined(config: str, fields: dict[str, Any], query: str, fused: str, **about: Any) -> Family:
    """One module gives queries, keys and values."""
    return Family(config=config, fields=fields, query=query, fused=fused, **about)


def latent(config: str, fields: dict[str, Any]) -> Family:
    """Latent attention, whose queries and keys are put together of parts."""
    return Family(config=config, fields=fields, fused="entering attention")


AFTER_NORMS = {"attention": "post_attention_layernorm", "mlp": "post_feedforward_layernorm"}
IN_TURN, BY_HEAD, GATED = "one after the other", "by head", "query and gate by head"
H, NEOX, DECODER = "transformer.h", "gpt_neox.layers", "model.decoder.layers"

_BLOOM = {"hidden_size": WIDTH, "n_layer": 3, "n_head": 4}
_BLOOM_PARTS = {
    "layers": H,
    "attention": "self_attention",
    "adds_residual": ("attention", "mlp"),
    "heads": "self_attention.dense",
    "neurons": "mlp.dense_4h_to_h",
}
_FALCON = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 4}
_FALCON_PARTS = {**_BLOOM_PARTS, "adds_residual": ()}
_BIGCODE = {"layers": H, "attention": "attn", "heads": "attn.c_proj", "neurons": "mlp.c_proj"}
_NEOX_PARTS = {"layers": NEOX, "attention": "attention", "heads": "attention.dense", "neurons": "mlp.dense_4h_to_h"}
_OPT = {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": WIDTH}
_OPT_PARTS = {"layers": DECODER, "mlp": "fc2", "heads": "self_attn.out_proj", "neurons": "fc2"}
_GPTJ = {"layers": H, "attention": "attn", "heads": "attn.out_proj", "neurons": "mlp.fc_out"}

FAMILIES: dict[str, Family] = {
    # One attention and one dense MLP in each layer.
    "apertus": grouped("ApertusConfig"),
    "arcee": grouped("ArceeConfig"),
    "bloom": joined("BloomConfig", _BLOOM, "self_attention.query_key_value", BY_HEAD, **_BLOOM_PARTS),
    "bloom, norm in the residual": joined(
        "BloomConfig",
        {**_BLOOM, "apply_residual_connection_post_layernorm": True},
        "self_attention.query_key_value",
        BY_HEAD,
        **_BLOOM_PARTS,
    ),
    "codegen": joined(
        "CodeGenConfig", {**GPT, "rotary_dim": 4, "n_inner": 48}, "attn.qkv_proj", "by head, value before key", **_GPTJ
    ),
    "cohere": grouped("CohereConfig"),
    "cohere2": grouped("Cohere2Config", {**NARROW, "sliding_window": 4}),
    "ernie4_5": grouped("Ernie4_5Config"),
    "exaone4": grouped(
        "Exaone4Config",
        {**GROUPED, "sliding_window": 4, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"]},
        **AFTER_NORMS,
    ),
    "falcon": joined(
        "FalconConfig", _FALCON, "self_attention.query_key_value", IN_TURN, n_key_heads=1, **_FALCON_PARTS
    ),
    "falcon, new decoder": joined(
        "FalconConfig",
        {**_FALCON, "num_kv_heads": 2, "new_decoder_architecture": True},
        "self_attention.query_key_value",
        BY_HEAD,
        n_key_heads=2,
        **_FALCON_PARTS,
    ),
    "falcon, sequential": joined(
        "FalconConfig",
        {**_FALCON, "parallel_attn": False, "multi_query": False, "alibi": True},
        "self_attention.query_key_value",
        BY_HEAD,
        **_FALCON_PARTS,
    ),
    "gemma": grouped("GemmaConfig", NARROW),
    "gemma2": grouped("Gemma2Config", {**WINDOWED, "final_logit_softcapping": 5.0}, **AFTER_NORMS),
    "gemma3": grouped("Gemma3TextConfig", WINDOWED, model="Gemma3ForCausalLM", **AFTER_NORMS),
    "gemma3, with images": grouped(
        "Gemma3Config",
        {
            "text_config": {**NARROW, "vocab_size": VOCABULARY, "sliding_window": 4, "query_pre_attn_scalar": 8},
            "vision_config": {**SEES, "image_size": 28, "patch_size": 14},
            "mm_tokens_per_image": 4,
            "image_token_index": 60,
            "boi_token_index": 59,
            "eoi_token_index": 58,
        },
        model="Gemma3ForConditionalGeneration",
        layers="model.language_model.layers",
        **AFTER_NORMS,
    ),
    "glm": grouped("GlmConfig", NARROW),
    "glm4": grouped("Glm4Config", NARROW, attention="post_self_attn_layernorm", mlp="post_mlp_layernorm"),
    "gpt2": joined(
        "GPT2Config",
        {**GPT, "n_inner": 48},
        "attn.c_attn",
        IN_TURN,
        layers=H,
        attention="attn",
        heads="attn.c_proj",
        neurons="mlp.c_proj",
    ),
    "gpt_bigcode": joined(
        "GPTBigCodeConfig",
        {**GPT, "n_inner": 48, "multi_query": True},
        "attn.c_attn",
        IN_TURN,
        n_key_heads=1,
        **_BIGCODE,
    ),
    "gpt_bigcode, a key for each query": joined(
        "GPTBigCodeConfig", {**GPT, "n_inner": 48, "multi_query": False}, "attn.c_attn", BY_HEAD, **_BIGCODE
    ),
    "gptj": Family(
        config="GPTJConfig",
        fields={**GPT, "rotary_dim": 4, "n_inner": 48},
        query="attn.q_proj",
        key="attn.k_proj",
        value="attn.v_proj",
        **_GPTJ,
    ),
    "gpt_neo": Family(
        config="GPTNeoConfig",
        fields={
            "hidden_size": WIDTH,
            "num_layers": 3,
            "num_heads": 4,
            "max_position_embeddings": 64,
            "intermediate_size": 48,
            "window_size": 4,
            "attention_types": [[["global", "local", "global"], 1]],
        },
        layers=H,
        attention="attn.attention",
        heads="attn.attention.out_proj",
        neurons="mlp.c_proj",
        query="attn.attention.q_proj",
        key="attn.attention.k_proj",
        value="attn.attention.v_proj",
    ),
    "gpt_neox": joined(
        "GPTNeoXConfig",
        {**SIZES, "rotary_pct": 0.5, "use_parallel_residual": True},
        "attention.query_key_value",
        BY_HEAD,
        **_NEOX_PARTS,
    ),
    "gpt_neox, sequential": joined(
        "GPTNeoXConfig",
        {**SIZES, "rotary_pct": 0.5, "use_parallel_residual": False},
        "attention.query_key_value",
        BY_HEAD,
        **_NEOX_PARTS,
    ),
    "granite": grouped(
        "GraniteConfig",
        {
            **GROUPED,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.3,
            "embedding_multiplier": 3.0,
            "logits_scaling": 0.5,
        },
    ),
    "hunyuan": grouped("HunYuanDenseV1Config", NARROW),
    "jais2": grouped("Jais2Config"),
    "llama": grouped("LlamaConfig"),
    "llama, untied, biases": grouped(
        "LlamaConfig", {**GROUPED, "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}
    ),
    "ministral3": grouped("Ministral3Config", NARROW),
    "mistral": grouped("MistralConfig", {**NARROW, "sliding_window": 4}),
    "modernbert-decoder": Family(
        config="ModernBertDecoderConfig",
        fields={**SIZES, "local_attention": 8},
        attention="attn",
        heads="attn.Wo",
        neurons="mlp.Wo",
        query="attn.q_proj",
        key="attn.k_proj",
        value="attn.v_proj",
    ),
    "mpt": joined(
        "MptConfig",
        {"d_model": WIDTH, "n_layers": 3, "n_heads": 4, "max_seq_len": 64},
        "attn.Wqkv",
        IN_TURN,
        layers="transformer.blocks",
        attention="attn",
        mlp="ffn",
        adds_residual=("mlp",),
        heads="attn.out_proj",
        neurons="ffn.down_proj",
    ),
    "nanochat": grouped("NanoChatConfig", neurons="mlp.fc2"),
    "nemotron": grouped("NemotronConfig", NARROW),
    "olmo": grouped("OlmoConfig"),
    "olmo2": grouped("Olmo2Config", **AFTER_NORMS),
    "olmo3": grouped(
        "Olmo3Config",
        {**GROUPED, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "sliding_window": 4},
        **AFTER_NORMS,
    ),
    "openai-gpt": joined(
        "OpenAIGPTConfig",
        GPT,
        "attn.c_attn",
        IN_TURN,
        model="OpenAIGPTLMHeadModel",
        layers=H,
        attention="attn",
        heads="attn.c_proj",
        neurons="mlp.c_proj",
    ),
    "opt": Family(config="OPTConfig", fields=_OPT, **_OPT_PARTS),
    "opt, norms after": Family(config="OPTConfig", fields={**_OPT, "do_layer_norm_before": False}, **_OPT_PARTS),
    "phi": Family(
        config="PhiConfig", fields={**SIZES, "partial_rotary_factor": 0.5}, heads="self_attn.dense", neurons="mlp.fc2"
    ),
    "phi3": joined("Phi3Config", GROUPED, "self_attn.qkv_proj", IN_TURN, n_key_heads=2),
    "qwen2": grouped("Qwen2Config"),
    "qwen3": grouped("Qwen3Config", {**GROUPED, "head_dim": 12}),
    "seed_oss": grouped("SeedOssConfig", NARROW),
    "smollm3": grouped("SmolLM3Config"),
    "stablelm": grouped("StableLmConfig", {**GROUPED, "partial_rotary_factor": 0.5}),
    "stablelm, parallel": grouped("StableLmConfig", {**GROUPED, "use_parallel_residual": True, "qk_layernorm": True}),
    "starcoder2": grouped("Starcoder2Config", neurons="mlp.c_proj"),
    "vaultgemma": grouped("VaultGemmaConfig", WINDOWED),
    "xglm": Family(
        config="XGLMConfig",
        fields={
            "d_model": WIDTH,
            "ffn_dim": 48,
            "num_layers": 3,
            "attention_heads": 4,
            "max_position_embeddings": 64,
        },
        mlp="fc2",
        heads="self_attn.out_proj",
        neurons="fc2",
    ),
    # Mixtures of experts.
    "afmoe": grouped(
        "AfmoeConfig",
        {**NARROW, **MIXED, "moe_intermediate_size": 24, "num_dense_layers": 1},
        attention="post_attention_layernorm",
        mlp="post_mlp_layernorm",
        router="mlp.router.gate",
    ),
    "ernie4_5_moe": grouped(
        "Ernie4_5_MoeConfig", {**GROUPED, "moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24}
    ),
    "flex_olmo": grouped("FlexOlmoConfig", {**GROUPED, **MIXED}, **AFTER_NORMS),
    "glm4_moe": grouped("Glm4MoeConfig", {**NARROW, **ROUTED, "first_k_dense_replace": 1}),
    "gpt_oss": grouped("GptOssConfig", {**NARROW, **LOCAL_EXPERTS, "sliding_window": 4}, router="mlp.router"),
    "granitemoe": grouped(
        "GraniteMoeConfig",
        {**GROUPED, **LOCAL_EXPERTS, "residual_multiplier": 0.22},
        mlp="block_sparse_moe",
        router="block_sparse_moe.router",
        experts="block_sparse_moe.experts",
    ),
    "jetmoe": grouped(
        "JetMoeConfig",
        {**LOCAL_EXPERTS, "hidden_size": WIDTH, "num_hidden_layers": 3, "num_key_value_heads": 2}
        | {"kv_channels": 8, "intermediate_size": 48},
        attention="self_attention",
    ),
    "llama4": grouped(
        "Llama4TextConfig",
        {
            **NARROW,
            "intermediate_size_mlp": 48,
            "num_local_experts": 4,
            "num_experts_per_tok": 1,
            "interleave_moe_layer_step": 2,
        },
        model="Llama4ForCausalLM",
        mlp="feed_forward",
        router="feed_forward.router",
        experts="feed_forward.experts",
        neurons="feed_forward.down_proj",
    ),
    "minimax_m2": grouped("MiniMaxM2Config", {**NARROW, **LOCAL_EXPERTS, "rotary_dim": 4}),
    "mixtral": grouped("MixtralConfig", {**GROUPED, **LOCAL_EXPERTS}),
    "olmoe": grouped("OlmoeConfig", {**GROUPED, **MIXED}),
    "phimoe": grouped("PhimoeConfig", {**GROUPED, **LOCAL_EXPERTS}, router="mlp.router"),
    "qwen2_moe": grouped(
        "Qwen2MoeConfig",
        {**GROUPED, **MIXED, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 16},
    ),
    "qwen3_moe": grouped("Qwen3MoeConfig", {**NARROW, **MIXED, "moe_intermediate_size": 24}),
    "qwen3_moe, one dense layer": grouped(
        "Qwen3MoeConfig",
        {**NARROW, **MIXED, "moe_intermediate_size": 24, "mlp_only_layers": [1]},
    ),
    # Latent attention.
    "deepseek_v2": latent(
        "DeepseekV2Config",
        {**SIZES, **LATENT, **ROUTED, "first_k_dense_replace": 1, "topk_method": "greedy"},
    ),
    "deepseek_v3": latent("DeepseekV3Config", {**SIZES, **LATENT, **ROUTED, "first_k_dense_replace": 1}),
    "deepseek_v3, no latent queries": latent(
        "DeepseekV3Config", {**SIZES, **LATENT, **ROUTED, "first_k_dense_replace": 1, "q_lora_rank": None}
    ),
    "glm4_moe_lite": latent("Glm4MoeLiteConfig", {**SIZES, **LATENT, **ROUTED}),
    "glm_moe_dsa": latent(
        "GlmMoeDsaConfig",
        {
            **SIZES,
            **LATENT,
            **ROUTED,
            "index_topk": 4,
            "first_k_dense_replace": 1,
            "index_n_heads": 2,
            "index_head_dim": 16,
        },
    ),
    "youtu": latent("YoutuConfig", {**SIZES, **LATENT}),
    # Layers of several kinds, state spaces, gates on queries.
    "bamba": grouped(
        "BambaConfig",
        {**GROUPED, **MAMBA, "mamba_expand": 2, "attn_layer_indices": [1]},
        mlp="feed_forward",
        neurons="feed_forward.down_proj",
    ),
    "falcon_h1": grouped(
        "FalconH1Config",
        {**NARROW, **MAMBA, "mamba_d_ssm": 64, "mamba_expand": 2},
        mlp="feed_forward",
        neurons="feed_forward.down_proj",
    ),
    "falcon_mamba": Family(
        config="FalconMambaConfig",
        fields={"hidden_size": WIDTH, "num_hidden_layers": 3, "state_size": 8},
        layers="backbone.layers",
    ),
    "granitemoehybrid": grouped(
        "GraniteMoeHybridConfig",
        {
            **GROUPED,
            **LOCAL_EXPERTS,
            **MAMBA,
            "layer_types": ["mamba", "attention", "mamba"],
            "shared_intermediate_size": 48,
            "position_embedding_type": "rope",
        },
        router="block_sparse_moe.router",
        experts="block_sparse_moe.experts",
    ),
    "granitemoehybrid, no positions": grouped(
        "GraniteMoeHybridConfig",
        {
            **GROUPED,
            **MAMBA,
            "num_local_experts": 0,
            "layer_types": ["attention"] * 3,
            "shared_intermediate_size": 48,
        },
    ),
    "jamba": grouped(
        "JambaConfig",
        {
            **GROUPED,
            **MIXED,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "mamba_d_state": 8,
            "use_mamba_kernels": False,
        },
        router="feed_forward.router",
        experts="feed_forward.experts",
        mlp="feed_forward",
        neurons="feed_forward.down_proj",
    ),
    "lfm2": grouped(
        "Lfm2Config",
        {**GROUPED, "full_attn_idxs": [1, 2], "block_auto_adjust_ff_dim": False},
        mlp="feed_forward",
        neurons="feed_forward.w2",
        heads="self_attn.out_proj",
    ),
    "lfm2_moe": grouped(
        "Lfm2MoeConfig",
        {
            **GROUPED,
            **MIXED,
            "moe_intermediate_size": 24,
            "num_dense_layers": 1,
            "layer_types": ["conv", "full_attention", "full_attention"],
        },
        router="feed_forward.gate",
        experts="feed_forward.experts",
        mlp="feed_forward",
        neurons="feed_forward.w2",
        heads="self_attn.out_proj",
    ),
    "mamba": Family(
        config="MambaConfig",
        fields={"hidden_size": WIDTH, "num_hidden_layers": 3, "state_size": 8},
        layers="backbone.layers",
    ),
    "mamba2": Family(
        config="Mamba2Config",
        fields={
            "hidden_size": WIDTH,
            "num_hidden_layers": 3,
            "state_size": 8,
            "num_heads": 8,
            "head_dim": 8,
            "n_groups": 1,
            "chunk_size": 8,
        },
        layers="backbone.layers",
    ),
    "nemotron_h": grouped(
        "NemotronHConfig",
        {
            **NARROW,
            "num_hidden_layers": 3,
            "layers_block_type": ["mamba", "attention", "mlp"],
            "ssm_state_size": 8,
            "mamba_num_heads": 8,
            "mamba_head_dim": 8,
            "n_groups": 1,
            "chunk_size": 8,
        },
        attention="mixer",
        mlp="mixer",
        heads="mixer.o_proj",
        neurons="mixer.down_proj",
        query="mixer.q_proj",
        key="mixer.k_proj",
        value="mixer.v_proj",
    ),
    "olmo_hybrid": grouped(
        "OlmoHybridConfig",
        {**GROUPED, **LINEAR},
        attention="linear_attn|post_attention_layernorm",
        mlp="post_feedforward_layernorm|mlp",
    ),
    "qwen3_5": grouped("Qwen3_5TextConfig", {**NARROW, **LINEAR}, model="Qwen3_5ForCausalLM", fused=GATED),
    "qwen3_5_moe": grouped(
        "Qwen3_5MoeTextConfig",
        {**NARROW, **LINEAR, **MIXED, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 16},
        model="Qwen3_5MoeForCausalLM",
        fused=GATED,
    ),
    "qwen3_next": grouped(
        "Qwen3NextConfig",
        {**NARROW, **LINEAR, **MIXED, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 16},
        fused=GATED,
    ),
    "recurrent_gemma": grouped(
        "RecurrentGemmaConfig",
        {
            **GROUPED,
            "block_types": ["recurrent", "attention", "recurrent"],
            "attention_window_size": 4,
            "lru_width": WIDTH,
        },
        attention="temporal_block",
        mlp="mlp_block",
        heads="temporal_block.o_proj",
        neurons="mlp_block.down_proj",
        query="temporal_block.q_proj",
        key="temporal_block.k_proj",
        value="temporal_block.v_proj",
    ),
    "rwkv": Family(
        config="RwkvConfig",
        fields={"hidden_size": WIDTH, "num_hidden_layers": 3, "attention_hidden_size": WIDTH, "intermediate_size": 48},
        layers="rwkv.blocks",
        attention="attention",
        mlp="feed_forward",
    ),
    "zamba2": grouped(
        "Zamba2Config",
        {
            **GROUPED,
            "mamba_d_state": 8,
            "mamba_expand": 2,
            "mamba_ngroups": 1,
            "n_mamba_heads": 8,
            "chunk_size": 8,
            "layers_block_type": ["mamba", "hybrid", "mamba"],
            "num_mem_blocks": 1,
            "adapter_rank": 4,
            "use_mem_rope": False,
        },
    ),
    # Layers that differ from each other in what they are given.
    "bert, as a decoder": Family(
        config="BertConfig",
        fields={**SIZES, "is_decoder": True},
        model="BertLMHeadModel",
        layers="bert.encoder.layer",
        attention="attention.output.dense",
        mlp="output.dense",
        heads="attention.output.dense",
        neurons="output.dense",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
    ),
    "bitnet": grouped("BitNetConfig"),
    "deepseek_v4": Family(config="DeepseekV4Config", fields={**SIZES, **ROUTED}),
    "gemma4": grouped(
        "Gemma4TextConfig",
        {**WINDOWED, "vocab_size_per_layer_input": 61, "hidden_size_per_layer_input": 8},
        **AFTER_NORMS,
    ),
    "hrm_text": grouped("HrmTextConfig"),
    "laguna": grouped("LagunaConfig", {**NARROW, **MIXED, "moe_intermediate_size": 24}),
}

_IMAGES = "takes images as well; "
NOT_TRIED = {
    "Gemma3nForConditionalGeneration": _IMAGES + "its text model alone is refused",
    "Gemma4ForConditionalGeneration": _IMAGES + "its text model is tried as gemma4",
    "Gemma4UnifiedForConditionalGeneration": _IMAGES + "its text model is tried as gemma4",
}
"""Classes that TransformerLens knows and that are not tried here, with the reason."""
