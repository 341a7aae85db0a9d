"""A language model that says what its table holds: a few kilobytes in GGUF, made in a millisecond.

It is a llama without attention: the last token alone decides the next one, so its answers are known to the letter while
llama.cpp does all that it does for a large model: template, prompt, batches, grammar, sampling, parsing of calls. Its
template ends a prompt with the token that begins an answer: which one, the last message says (`template.jinja`).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import gguf
import numpy

CONTEXT = 8192  # tokens; a letter of a prompt is one
END = "</s>"
# The token after each: answers begin at the four words that only the template writes.
ANSWERS = (
    ("<brief>", "▁A", "▁brief", "▁answer", END),
    ("<on-and-on>", "▁one", "▁two", "▁three", "▁one"),
    ("<thinking>", "<think>", "▁hmm", "</think>", "▁A"),
    ("<calling>", "<tool_call>", '{"name":', '▁"add",', '▁"arguments":', '▁{"a":', "▁2,", '▁"b":', "▁3}}", "</tool_call>",
     END),
)  # fmt: skip
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")  # they are told, other words in brackets are not
WIDTH = 64


def write(path: Path) -> None:
    """Writes the model's file."""
    after = dict(pair for answer in ANSWERS for pair in pairwise(answer))
    words = [word for word in dict.fromkeys([*after, *after.values()]) if word != END]
    tokens = ["<unk>", "<s>", END, "▁", *words, *(f"<0x{byte:02X}>" for byte in range(256))]
    place = {token: number for number, token in enumerate(tokens)}

    # Each word that has one after it has a dimension of its own, whatever else shares the last one.
    dimension = {word: number for number, word in enumerate(after)}
    heard = numpy.zeros((len(tokens), WIDTH), numpy.float32)
    said = numpy.zeros((len(tokens), WIDTH), numpy.float32)
    for number, token in enumerate(tokens):
        heard[number, dimension.get(token, WIDTH - 1)] = 1
    for here, there in after.items():
        said[place[there], dimension[here]] = 4  # 32 after the normalization: no sampling takes another
    said[place[END], WIDTH - 1] = 4

    file = gguf.GGUFWriter(path, "llama")
    _describe(file, tokens)
    file.add_tensor("token_embd.weight", heard)
    file.add_tensor("output.weight", said)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        file.add_tensor(f"{name}.weight", numpy.ones(WIDTH, numpy.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        file.add_tensor(f"blk.0.{name}.weight", numpy.zeros((WIDTH, WIDTH), numpy.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def _describe(file: gguf.GGUFWriter, tokens: list[str]) -> None:
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_feed_forward_length(WIDTH)
    file.add_block_count(1)
    file.add_head_count(2)
    file.add_head_count_kv(2)
    file.add_rope_dimension_count(WIDTH // 2)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(len(tokens))
    file.add_tokenizer_model("llama")
    file.add_token_list(tokens)
    file.add_token_scores([0.0] * len(tokens))
    file.add_token_types([_type(token) for token in tokens])
    file.add_unk_token_id(tokens.index("<unk>"))
    file.add_bos_token_id(tokens.index("<s>"))
    file.add_eos_token_id(tokens.index(END))
    file.add_chat_template(Path(__file__).with_name("template.jinja").read_text())


def _type(token: str) -> int:
    if token == "<unk>":
        return gguf.TokenType.UNKNOWN
    if token.startswith("<0x"):
        return gguf.TokenType.BYTE
    if token in MARKS:
        return gguf.TokenType.USER_DEFINED
    return gguf.TokenType.CONTROL if token.startswith("<") else gguf.TokenType.NORMAL
