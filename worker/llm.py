"""The embedded language model as a livekit LLM: the OpenAI plugin, pointed at our own models process."""

from __future__ import annotations

import openai as client
from livekit.plugins import openai

ANSWER_TOKENS = 60  # about 20 s of speech; longer answers of the small model repeat themselves


class EmbeddedLLM(openai.LLM):
    """Owns a client that ignores HTTP_PROXY: what is said to our own models process never leaves by a proxy."""

    def __init__(self, base_url: str, model: str, *, conversation: str | None = None) -> None:
        """`base_url` is the models process, without /v1. `conversation` names the prompt cache that the turns share."""
        self._own = client.AsyncClient(
            api_key="none",  # the client insists on one
            base_url=f"{base_url}/v1",
            max_retries=0,
            http_client=client.DefaultAsyncHttpxClient(trust_env=False),
        )
        extra: dict[str, object] = {"max_tokens": ANSWER_TOKENS, "cache_prompt": True}
        if conversation:
            extra["prompt_cache_key"] = conversation
        super().__init__(model=model, client=self._own, extra_body=extra)

    async def aclose(self) -> None:
        await super().aclose()
        await self._own.close()
