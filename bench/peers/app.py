"""What a Chainlit app with openai's client is at its least. Whoever comes names the model as their chat profile."""

import chainlit as cl
from openai import AsyncOpenAI

client = AsyncOpenAI()


@cl.on_message
async def on_message(message: cl.Message) -> None:
    answer = cl.Message(content="")
    model, messages = cl.user_session.get("chat_profile"), cl.chat_context.to_openai()
    async for chunk in await client.chat.completions.create(model=model, messages=messages, stream=True):
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await answer.stream_token(text)
    await answer.update()
