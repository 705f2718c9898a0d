"""check_openai_client.py URL CERTIFICATE KEY MODEL: the official openai client talks to `loom serve`.

Whole and streamed answers, usage, and each refusal as the exception the client has for it.
"""
import ssl
import sys

from common import need, verdict

openai, = need("openai")


def chat(client, model, text="What does VACUUM do?", **options):
    options = {"max_tokens": 12, "temperature": 0} | options
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def models(client, model):
    return [entry.id for entry in client.models.list()] == [model]


def whole(client, model):
    answer = chat(client, model)
    choice, usage = answer.choices[0], answer.usage
    return (answer.object == "chat.completion" and answer.model == model and choice.message.role == "assistant"
            and isinstance(choice.message.content, str) and choice.finish_reason in ("stop", "length")
            and 1 <= usage.completion_tokens <= 12 and usage.prompt_tokens > 1
            and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens)


def streamed(client, model):
    """The pieces add up to the whole answer; the usage comes last, in a chunk without choices."""
    expected = chat(client, model)
    chunks = list(chat(client, model, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    return ("".join(pieces) == expected.choices[0].message.content and not chunks[-1].choices
            and chunks[-1].usage == expected.usage
            and chunks[-2].choices[0].finish_reason == expected.choices[0].finish_reason)


def completions(client, model):
    options = {"model": model, "prompt": "The command", "max_tokens": 8, "temperature": 0}
    expected = client.completions.create(**options)
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**options, stream=True) if chunk.choices]
    return expected.object == "text_completion" and "".join(pieces) == expected.choices[0].text


def seeded(client, model):
    first, second = (chat(client, model, temperature=1, seed=7).choices[0].message.content for _ in range(2))
    return first == second


def logprobs(client, model):
    tokens = chat(client, model, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    return bool(tokens) and all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)


def refused(kind, code, call):
    def check(client, model):
        try:
            call(client, model)
        except kind as error:
            return error.code == code
        return False
    return check


CHECKS = {
    "models.list": models,
    "chat": whole,
    "chat streamed": streamed,
    "completions": completions,
    "seed": seeded,
    "logprobs": logprobs,
    "wrong key": refused(openai.AuthenticationError, "invalid_api_key",
                         lambda client, model: chat(client.with_options(api_key="lm-wrong"), model)),
    "unknown model": refused(openai.NotFoundError, "model_not_found",
                             lambda client, model: chat(client, "no-such-model")),
    "long prompt": refused(openai.BadRequestError, "context_length_exceeded",
                           lambda client, model: chat(client, model, "word " * 20000)),
    "n=2": refused(openai.BadRequestError, "invalid_value", lambda client, model: chat(client, model, n=2)),
    "temperature=9": refused(openai.BadRequestError, "invalid_value",
                             lambda client, model: chat(client, model, temperature=9)),
}


def holds(check, client, model):
    try:
        return check(client, model)
    except openai.OpenAIError as error:
        print(f"  {error!r}", file=sys.stderr)
        return False


def main():
    url, certificate, key, model = sys.argv[1:]
    http = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=certificate))
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, http_client=http, max_retries=0, timeout=60) as client:
        broken = [name for name, check in CHECKS.items() if not holds(check, client, model)]
    verdict(not broken, f"openai {openai.__version__}: {len(CHECKS) - len(broken)} of {len(CHECKS)} as the client "
                        f"expects{'; not: ' * bool(broken)}{', '.join(broken)}")


main()
