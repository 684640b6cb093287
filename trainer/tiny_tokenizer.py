"""The tiny checkpoint's tokenizer: byte-level BPE in which every integer of 0..1000 is one token.

Token ids: the integer v of 0..1000 has id v; then follow the other bytes, the learned pieces and Qwen's special tokens.
Encoding and decoding preserve every text byte for byte (there is no normalizer).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from vqc.geometry import NORM

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
MARKUP_TOKENS = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
"""Qwen's other twelve added tokens, which decoding keeps."""

MAX_PIECE_BYTES = 36
"""Longest learned piece: twelve Chinese characters."""

_WORDS = r"bbox_2d|[\p{L}\p{M}_]+|[\r\n]+|[^\p{L}\p{M}_0-9\r\n]+"
_NUMBERS = r"1000(?![0-9])|[0-9]{1,3}"


def train_tokenizer(corpus: Iterable[str], *, pieces: int = 3200) -> Tokenizer:
    """A tokenizer with at most ``pieces`` learned pieces; the same tokenizer for the same corpus.

    >>> tokenizer = train_tokenizer(["光纤"], pieces=4)
    >>> tokenizer.encode("[0, 37, 1000, 1001]").tokens
    ['[', '0', ',', 'Ġ', '37', ',', 'Ġ', '1000', ',', 'Ġ', '100', '1', ']']
    >>> tokenizer.encode("37").ids
    [37]
    """
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = _pre_tokenizer(f"[0-9]|{_WORDS}")
    trainer = trainers.BpeTrainer(
        vocab_size=256 + pieces,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=MAX_PIECE_BYTES,
        show_progress=False,
    )
    learned.train_from_iterator(corpus, trainer)
    return _assemble(learned)


def _pre_tokenizer(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _assemble(learned: Tokenizer) -> Tokenizer:
    """The tokenizer with numbers first. ``ignore_merges`` keeps a whole number as one token, without merges for it."""
    model = json.loads(learned.to_str())["model"]
    numbers = [str(value) for value in range(NORM + 1)]
    others = sorted((piece for piece in model["vocab"] if piece not in set(numbers)), key=model["vocab"].__getitem__)
    vocab = {piece: token_id for token_id, piece in enumerate([*numbers, *others])}
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = _pre_tokenizer(f"{_NUMBERS}|{_WORDS}")
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP_TOKENS])
    return tokenizer
