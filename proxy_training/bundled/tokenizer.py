"""The tokenizer of `tiny`: byte-level BPE learned from the generated world, and the chat template that frames its turns."""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from sources.world.captions import CaptionLength
from sources.world.names import made_up_name
from sources.world.questions import Skill
from sources.world.streams import PRETRAINING, generator, scene_with_caption, scene_with_question

PAD, BEGIN, END = "<pad>", "<bos>", "<end_of_utterance>"
USER, ASSISTANT, SYSTEM = "<|user|>", "<|assistant|>", "<|system|>"
IMAGE, AROUND_IMAGE, GLOBAL_IMAGE = "<image>", "<fake_token_around_image>", "<global-img>"
SPECIAL = (PAD, BEGIN, END, USER, ASSISTANT, SYSTEM, IMAGE, AROUND_IMAGE, GLOBAL_IMAGE)
VOCABULARY = 1024
CONTEXT = 1024  # tokens
_TEXTS = 12_000

# Every text is preceded by one space, so that a word has one token wherever it stands; only the assistant's turns end.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}<|user|>{% elif message['role'] == 'assistant' %}<|assistant|>{% else %}<|system|>{% endif %}"
    "{% if message['content'] is string %}{% if message['content'] | trim %}{{ ' ' + message['content'] | trim }}{% endif %}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>"
    "{% elif part['type'] == 'text' and part['text'] | trim %}{{ ' ' + part['text'] | trim }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}<end_of_utterance>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def learn_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE from the world's questions, answers and captions; every string can be encoded."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    bpe.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
    )
    bpe.train_from_iterator(world_texts(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        padding_side="right",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def world_texts(seed: int) -> Iterator[str]:
    """Yield the texts that the tokenizer is learned from: what the world says, and made-up names for ordinary letter pairs."""
    for number in range(_TEXTS):
        rng = generator(PRETRAINING, seed, number, "tokenizer")
        _, question = scene_with_question(rng, tuple(Skill)[number % len(Skill)])
        _, prompt, caption = scene_with_caption(rng, tuple(CaptionLength)[number % len(CaptionLength)])
        yield from (f" {text}" for text in (question.text, question.answer, prompt, caption, made_up_name(rng)))
