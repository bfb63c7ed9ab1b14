#!/usr/bin/env python3
"""The shape of the API, as programs written for OpenAI's and llama-server's expect it, of gateway
and proxy alike: fields, types, order of a stream's chunks, errors, keys, origins. What the model
says is of no matter here.
"""

import http.client
import json

from service_world import (HOME, QUESTION, call, chat, gateway, make_policy, play, proxy,
                           wait_until, worker)

KEY = "sk-a-key-of-this-test"
BOOK = [{"role": "system", "content": "Book"}, {"role": "user", "content": "What is the best book"}]


def post(port, path, body, headers=None):
    status, given, answer = call(port, "POST", path, body, headers)
    return status, given, json.loads(answer)


def stream(port, path, body):
    """The chunks of a stream, which has to end with [DONE]."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps({**body, "stream": True}),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = answer.read().decode().split("\n\n")
    events = [part[6:] for part in parts if part.startswith("data: ")]
    assert events[-1] == "[DONE]", events[-1]
    return [json.loads(event) for event in events[:-1]]


def check_basics(port):
    for path in ("/health", "/v1/health", "/livez", "/readyz", "/version", "/openapi.json"):
        status, headers, body = call(port, "GET", path)
        assert status == 200 and "error" not in json.loads(body), (path, status)
        assert headers["content-type"].startswith("application/json"), headers
    for path in ("/v1/models", "/models"):
        listed = json.loads(call(port, "GET", path)[2])
        assert listed["object"] == "list" and len(listed["data"]) == 1, listed
        card = listed["data"][0]
        assert card["id"] == "demo" and card["object"] == "model", card
        assert type(card["created"]) is int and card["owned_by"], card
        assert card["meta"]["n_vocab"] > 0 and card["meta"]["n_ctx_train"] > 0, card
    status, headers, text = call(port, "GET", "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain"), headers
    assert b"# TYPE otr_requests_total counter" in text
    documented = json.loads(call(port, "GET", "/openapi.json")[2])["paths"]
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/models", "/tokenize",
                 "/detokenize", "/apply-template", "/v1/otr/sessions", "/v1/otr/requests",
                 "/v1/otr/receipts", "/v1/otr/receipts/{id}", "/v1/aci/attestation", "/metrics"):
        assert path in documented, path


def check_tokens(port):
    content = "What is the capital of France ?"
    status, _, made = post(port, "/tokenize", {"content": content})
    assert status == 200 and len(made["tokens"]) > 5, made
    assert all(type(token) is int for token in made["tokens"])
    status, _, back = post(port, "/detokenize", {"tokens": made["tokens"]})
    assert status == 200 and back["content"].strip() == content, back
    pieces = post(port, "/tokenize", {"content": "unicode \u5abd and \U0001f917",
                                      "with_pieces": True})[2]["tokens"]
    whole = b""
    for token in pieces:
        assert type(token["id"]) is int and len(token["piece"]) > 0, token
        piece = token["piece"]
        whole += piece.encode() if isinstance(piece, str) else bytes(piece)
    assert whole.decode().strip() == "unicode \u5abd and \U0001f917", whole
    status, _, templated = post(port, "/apply-template", {"messages": QUESTION})
    assert status == 200 and QUESTION[0]["content"] in templated["prompt"], templated


def check_chat(port):
    for path in ("/v1/chat/completions", "/chat/completions"):
        for content in ("Hey", [{"type": "text", "text": "What is"},
                                {"type": "text", "text": "the best book"}]):
            status, headers, body = post(port, path, {
                "model": None, "max_tokens": 8, "messages": [BOOK[0], {"role": "user",
                                                                       "content": content}]})
            assert status == 200, body
            assert body["id"].startswith("chatcmpl-") and body["object"] == "chat.completion", body
            assert body["system_fingerprint"].startswith("b") and type(body["created"]) is int
            usage = body["usage"]
            assert usage["prompt_tokens"] > 0 and 0 < usage["completion_tokens"] <= 8, usage
            assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
            choice = body["choices"][0]
            assert choice["message"]["role"] == "assistant" and choice["index"] == 0, choice
            assert type(choice["message"]["content"]) is str, choice
            assert choice["finish_reason"] in ("length", "stop"), choice
            assert body["timings"]["predicted_n"] == usage["completion_tokens"], body["timings"]
            assert headers["x-receipt-id"] == body["otr"]["receipt_id"]
    several = chat(port, n=2, temperature=1, max_tokens=4)[2]
    assert [choice["index"] for choice in several["choices"]] == [0, 1], several


def check_chat_stream(port):
    chunks = stream(port, "/v1/chat/completions", {
        "max_tokens": 8, "messages": BOOK, "stream_options": {"include_usage": True}})
    assert len({(chunk["id"], chunk["model"], chunk["system_fingerprint"], chunk["created"])
                for chunk in chunks}) == 1, chunks
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}, chunks[0]
    assert "timings" not in chunks[0]
    for chunk in chunks[1:-2]:
        choice = chunk["choices"][0]
        assert list(choice["delta"]) == ["content"] and choice["finish_reason"] is None, chunk
        assert chunk["usage"] is None and chunk["object"] == "chat.completion.chunk", chunk
    finish, usage = chunks[-2], chunks[-1]
    assert finish["choices"][0]["finish_reason"] in ("length", "stop"), finish
    assert finish["choices"][0]["delta"] == {}, finish
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] <= 8, usage
    for name in ("prompt_n", "predicted_n", "prompt_per_second", "predicted_per_second"):
        assert name in usage["timings"], usage
    assert usage["otr"]["verified"] is True, usage
    without = stream(port, "/v1/chat/completions", {"max_tokens": 4, "messages": BOOK})
    assert all("usage" not in chunk and chunk["choices"] for chunk in without), without
    assert "timings" in without[-1], without[-1]
    # Greedy: the same text, whole or in parts.
    body = {"max_tokens": 16, "messages": QUESTION, "temperature": 0}
    parts = [chunk["choices"][0]["delta"].get("content") or ""
             for chunk in stream(port, "/v1/chat/completions", body)]
    whole = post(port, "/v1/chat/completions", body)[2]
    assert "".join(parts) == whole["choices"][0]["message"]["content"], (parts, whole)


def check_completion(port):
    body = {"prompt": "I believe the meaning of life is", "max_tokens": 8, "temperature": 0}
    for path in ("/v1/completions", "/completions"):
        status, _, answer = post(port, path, body)
        assert status == 200 and answer["object"] == "text_completion", answer
        assert answer["id"].startswith("cmpl-"), answer
        assert type(answer["choices"][0]["text"]) is str, answer
    parts = [chunk["choices"][0]["text"] for chunk in stream(port, "/v1/completions", body)]
    assert "".join(parts) == answer["choices"][0]["text"], (parts, answer)
    tokens = post(port, "/tokenize", {"content": body["prompt"], "add_special": True})[2]["tokens"]
    by_ids = post(port, "/v1/completions", {**body, "prompt": tokens})[2]
    both = post(port, "/v1/completions", {**body, "prompt": [tokens, tokens]})[2]
    texts = [choice["text"] for choice in both["choices"]]
    assert texts == [by_ids["choices"][0]["text"]] * 2, texts
    same = [post(port, "/v1/completions", {**body, "temperature": 1, "seed": 7})[2]["choices"][0]
            for _ in range(3)]
    other = post(port, "/v1/completions", {**body, "temperature": 1, "seed": 8,
                                           "max_tokens": 32})[2]["choices"][0]
    assert same[0]["text"] == same[1]["text"] == same[2]["text"] != other["text"], (same, other)


def check_stop_and_bias(port):
    body = {"prompt": "I believe the meaning of life is", "max_tokens": 24, "temperature": 0}
    text = post(port, "/v1/completions", body)[2]["choices"][0]["text"]
    stop = text[len(text) // 2:][:3]
    for form in (stop, [stop]):
        choice = post(port, "/v1/completions", {**body, "stop": form})[2]["choices"][0]
        assert choice["finish_reason"] == "stop" and stop not in choice["text"], (stop, choice)
    first = post(port, "/v1/completions", {**body, "max_tokens": 1, "logprobs": 1})[2]
    piece = first["choices"][0]["logprobs"]["tokens"][0]
    banned = post(port, "/tokenize", {"content": text})[2]["tokens"]
    biased = post(port, "/v1/completions", {
        **body, "max_tokens": 1, "logprobs": 1,
        "logit_bias": {str(token): -100 for token in banned}})[2]
    assert biased["choices"][0]["logprobs"]["tokens"][0] != piece, (piece, biased)


def check_logprobs(port):
    body = {"messages": BOOK, "max_tokens": 5, "temperature": 0, "logprobs": True,
            "top_logprobs": 10}

    def check(tokens):
        for token in tokens:
            assert token["logprob"] <= 0 and token["bytes"] is not None, token
            assert len(token["top_logprobs"]) == 10, token
            assert bytes(token["bytes"]).decode(errors="replace") == token["token"], token
        return "".join(token["token"] for token in tokens)

    choice = post(port, "/v1/chat/completions", body)[2]["choices"][0]
    assert check(choice["logprobs"]["content"]) == choice["message"]["content"], choice
    text, told = "", ""
    for chunk in stream(port, "/v1/chat/completions", body)[1:-1]:
        part = chunk["choices"][0]
        assert part["logprobs"]["content"] is not None, part
        text += part["delta"]["content"]
        told += check(part["logprobs"]["content"])
    assert text == told == choice["message"]["content"], (text, told)
    status, _, refused = post(port, "/v1/chat/completions", {**body, "top_logprobs": 21})
    assert status == 400 and refused["error"]["param"] == "top_logprobs", refused


def check_errors(port):
    def is_error(status, answer, expected, code=None):
        error = answer["error"]
        assert status == expected and set(error) == {"message", "type", "code", "param"}, answer
        assert type(error["message"]) is str and error["message"], answer
        assert code is None or error["code"] == code, answer

    asked = {"role": "user", "content": "test"}
    said = {"role": "assistant", "content": "test"}
    for messages in (None, "string", [], [123], [{}], [{"role": 123}],
                     [{"role": "system", "content": 123}], [{"role": "system", "content": "a"}, {}],
                     [asked, said, said]):
        status, _, answer = post(port, "/v1/chat/completions", {"messages": messages})
        is_error(status, answer, 400)
    for member in ({"response_format": {"type": "sound"}},
                   {"response_format": {"type": "json_object", "schema": 123}},
                   {"grammar": "root ::= \"a\""}, {"json_schema": {"const": "42"}},
                   {"tools": [{"type": "function"}]}):
        status, _, answer = post(port, "/v1/chat/completions", {"messages": [asked], **member})
        is_error(status, answer, 400)
        assert answer["error"]["param"], answer
    long = {"messages": [{"role": "user", "content": "What is the best book? " * 4000}]}
    status, _, answer = post(port, "/v1/chat/completions", long)
    is_error(status, answer, 400, "context_length_exceeded")
    status, _, answer = post(port, "/v1/chat/completions", {**long, "stream": True})
    is_error(status, answer, 400, "context_length_exceeded")
    status, _, answer = post(port, "/v1/chat/completions", {"model": "x", "messages": [asked]})
    is_error(status, answer, 404, "model_not_found")
    for method, path, expected in (("GET", "/nowhere", 404), ("GET", "/v1/chat/completions", 405),
                                   ("POST", "/v1/models", 405)):
        status, _, answer = call(port, method, path, {} if method == "POST" else None)
        is_error(status, json.loads(answer), expected)


def check_counts(port):
    """Each answer counts once, under its route."""
    def counted(route, code):
        text = call(port, "GET", "/metrics")[2].decode()
        for line in text.splitlines():
            if line.startswith("otr_requests_total") and f'route="{route}"' in line \
                    and f'code="{code}"' in line:
                return int(line.split()[-1])
        return 0

    for method, path, route, code in (
            ("GET", "/v1/otr/sessions", "/v1/otr/sessions", 200),
            ("POST", "/v1/otr/requests", "/v1/otr/requests", 400),
            ("GET", "/v1/aci/sessions/" + "0" * 64, "/v1/aci/sessions/{id}", 503),
            ("GET", "/models", "/v1/models", 200), ("GET", "/nowhere", "other", 404)):
        before = counted(route, code)
        assert call(port, method, path, {} if method == "POST" else None)[0] == code, path
        assert counted(route, code) == before + 1, (path, before)


def check_keys_and_origins(worker_port):
    (HOME / "keys").write_text(KEY + "\n")
    guarded = gateway(worker_port, "--api-keys", str(HOME / "keys"), "--cors", "https://a.example",
                      "--alias", "gpt-3.5-turbo")
    port = guarded.port
    wait_until(lambda: call(port, "GET", "/readyz")[0] == 200)
    body = {"prompt": "I believe", "max_tokens": 2}
    for headers in ({}, {"Authorization": "Bearer invalid-key"}, {"Authorization": KEY},
                    {"X-Api-Key": "invalid-key"}):
        for path in ("/v1/completions", "/completions"):
            status, given, answer = post(port, path, body, headers)
            assert status == 401 and answer["error"]["type"] == "authentication_error", answer
            assert given["www-authenticate"] == "Bearer", given
    for headers in ({"Authorization": "Bearer " + KEY}, {"X-Api-Key": KEY}):
        status, _, answer = post(port, "/v1/completions", body, headers)
        assert status == 200 and "error" not in answer, answer
    status, _, answer = post(port, "/v1/completions", {**body, "model": "gpt-3.5-turbo"},
                             {"X-Api-Key": KEY})
    assert status == 200 and answer["model"] == "demo", answer
    assert call(port, "GET", "/health")[0] == 200
    status, headers, _ = call(port, "OPTIONS", "/v1/completions", headers={
        "Origin": "https://a.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Authorization"})
    assert status in (200, 204) and headers["access-control-allow-origin"] == "https://a.example"
    assert "POST" in headers["access-control-allow-methods"], headers
    assert headers["access-control-allow-headers"] in ("*", "Authorization"), headers
    guarded.end()


def main():
    make_policy()
    the_worker = worker()
    the_gateway = gateway(the_worker.port)
    wait_until(lambda: call(the_gateway.port, "GET", "/readyz")[0] == 200)
    the_proxy = proxy(the_gateway.port)
    for port in (the_gateway.port, the_proxy.port):
        for check in (check_basics, check_tokens, check_chat, check_chat_stream, check_completion,
                      check_stop_and_bias, check_logprobs, check_errors):
            check(port)
    check_counts(the_gateway.port)
    check_keys_and_origins(the_worker.port)
    for process in (the_proxy, the_gateway, the_worker):
        process.end()
        assert process.child.returncode == 0, process.errors()[-500:]
    print("the API has its shape")


play(main)
