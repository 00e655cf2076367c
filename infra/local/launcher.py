"""Starts MiniStack, mended where it falls short of AWS.

This file is run by the Python of MiniStack's own environment, so it imports nothing but MiniStack and the standard
library. Each mend says what it is for; all of them are written for the version that requirements/ministack.txt pins.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import zipfile
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypercorn.config import Config  # type: ignore[import-not-found]
from ministack import app
from ministack.core import lambda_runtime
from ministack.services import apigateway, cloudwatch, cognito, lambda_svc, sqs
from ministack.services.cloudformation import provisioners

PATIENT = {"event_archiver", "flip_archiver", "archive_compactor", "archive_watermark", "segment_recompute"}
"""Functions whose work may come a minute later."""
KEPT_SECONDS = 7 * 86_400
"""How long an unpacked layer stays that nothing uses."""
KEPT_POINTS = 1_440
"""Of what a queue says: a day's."""


def run_functions_with(python: str) -> None:
    """Let functions run on `python`: MiniStack takes its own, whose packages hide what a layer lacks."""
    sys.executable = python


def share_unpacked_layers(directory: Path) -> None:
    """Unpack each code and layer archive once.

    MiniStack unpacks all layers anew for every worker it spawns and thereby also loses their bytecode, which makes a
    cold start take seconds instead of tenths.
    """

    class UnpackedOnce(zipfile.ZipFile):
        def extractall(self, path: Any = None, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the signature of ZipFile
            content = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()[:32]
            shared = directory / content
            if not shared.exists():
                fresh = Path(tempfile.mkdtemp(dir=directory))
                super().extractall(fresh)
                try:
                    fresh.rename(shared)
                except OSError:  # another worker was faster
                    shutil.rmtree(fresh, ignore_errors=True)
            os.utime(shared)
            Path(path).rmdir()
            Path(path).symlink_to(shared, target_is_directory=True)

    directory.mkdir(parents=True, exist_ok=True)
    for unused in directory.iterdir():
        if unused.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(unused, ignore_errors=True)
    # It catches zipfile.LargeFileError, which is called LargeZipFile.
    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=UnpackedOnce, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


def answer_without_waiting_for_logs() -> None:
    """Return an invocation's result at once: MiniStack waits 50 ms for a log line that a quiet function never writes.

    A line that comes later is not lost, it is reported with the next invocation.
    """
    drain = lambda_runtime.Worker._drain_stderr_bounded  # noqa: SLF001 - a mend has to reach inside

    def drain_quickly(worker: Any) -> str:  # noqa: ANN401
        return str(drain(worker, first_line_wait=0.002, idle_confirm=0.001))

    lambda_runtime.Worker._drain_stderr_bounded = drain_quickly  # noqa: SLF001


def send_at_once() -> None:
    """Send each answer at once.

    The server writes head and body apart, and its sockets wait for the client's acknowledgement between the two, which
    a client on the same machine delays by 40 ms.
    """
    create = Config._create_sockets  # noqa: SLF001 - a mend has to reach inside

    def create_without_delay(config: Config, *arguments: Any) -> list[socket.socket]:  # noqa: ANN401
        sockets: list[socket.socket] = create(config, *arguments)
        for each in sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts inherits this
        return sockets

    Config._create_sockets = create_without_delay  # noqa: SLF001


def poll_at_once() -> None:
    """Hand a message to its function at once: MiniStack lets 50 ms pass before it looks at a queue again."""
    lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS = 0.005  # noqa: SLF001


def deliver_delayed_messages_in_time() -> None:
    """Hand a delayed message to its function when it is due: when nothing else happens, MiniStack looks each second."""
    woken = lambda_svc._esm_wake  # noqa: SLF001
    soon = 0.05

    def wait_shortly(seconds: float) -> bool:
        return bool(woken.wait(min(seconds, soon)))

    lambda_svc._esm_wake = SimpleNamespace(set=woken.set, clear=woken.clear, wait=wait_shortly)  # noqa: SLF001


def pass_over_what_waits() -> None:
    """Let a message that waits cost next to nothing: MiniStack goes through all of them to find those to be delivered.

    It also completes each that lacks something. One that was sent lacks nothing, only one from other services may.
    """
    complete, receive = sqs._ensure_msg_fields, sqs._receive_messages_for_esm  # noqa: SLF001

    def complete_others(message: dict[str, Any]) -> None:
        if "seq" not in message:
            complete(message)

    def receive_if_any(url: str, at_most: int) -> list[Any]:
        now, waiting = time.time(), sqs._get_q(url)["messages"]  # noqa: SLF001
        any_now = any(message.get("visible_at", now) <= now for message in waiting)
        return list(receive(url, at_most)) if any_now else []

    sqs._ensure_msg_fields = complete_others  # noqa: SLF001
    sqs._receive_messages_for_esm = receive_if_any  # noqa: SLF001


def read_streams_apart() -> None:
    """Let no queue wait for a function that works on a table's stream: MiniStack calls it from the loop of them all."""
    read = lambda_svc._poll_dynamodb_streams  # noqa: SLF001

    def go_on_reading() -> None:
        while True:
            try:
                more = read()
            except Exception as error:  # noqa: BLE001 - as its own loop does: told, and tried again
                lambda_svc.logger.error("ESM DynamoDB streams poller error: %s", error)
                more = False
            if not more:
                time.sleep(0.01)

    lambda_svc._poll_dynamodb_streams = lambda: False  # noqa: SLF001
    threading.Thread(target=go_on_reading, daemon=True).start()


def let_archiving_wait() -> None:
    """Let functions that nobody waits for leave the processors to others; in AWS each has one of its own."""
    spawn = lambda_runtime.Worker._spawn  # noqa: SLF001

    def spawn_with_priority(worker: Any) -> None:  # noqa: ANN401
        spawn(worker)
        variables = worker.config.get("Environment", {}).get("Variables", {})
        if variables.get("POWERTOOLS_SERVICE_NAME") in PATIENT:
            os.setpriority(os.PRIO_PROCESS, worker._proc.pid, 10)  # noqa: SLF001

    lambda_runtime.Worker._spawn = spawn_with_priority  # noqa: SLF001


def admit_labelled_alarms() -> None:
    """Create an alarm on one metric that has a label.

    CloudFormation writes its metric in the form that metric math has, which MiniStack refuses; without the label it is
    the plain form. An alarm on true metric math stays refused.
    """
    record = provisioners._cw_metric_alarm_record  # noqa: SLF001

    def plain_record(name: str, properties: dict[str, Any]) -> Any:  # noqa: ANN401
        metrics = properties.get("Metrics") or []
        if len(metrics) == 1 and "MetricStat" in metrics[0]:
            stat = metrics[0]["MetricStat"]
            plain = {**stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"]}
            properties = {key: value for key, value in properties.items() if key != "Metrics"} | plain
        return record(name, properties)

    provisioners._cw_metric_alarm_record = plain_record  # noqa: SLF001


def take_numbers_from_parameters() -> None:
    """Let a template's number parameter say how many batches a queue may have in progress.

    CloudFormation makes a number of it; MiniStack hands on the text, and then polls no queue at all.
    """
    concurrency = lambda_svc._sqs_esm_concurrency  # noqa: SLF001

    def numeric_concurrency(mapping: dict[str, Any], *arguments: Any) -> int:  # noqa: ANN401
        scaling = mapping.get("ScalingConfig") or {}
        if isinstance(scaling.get("MaximumConcurrency"), str):
            scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
        return int(concurrency(mapping, *arguments))

    lambda_svc._sqs_esm_concurrency = numeric_concurrency  # noqa: SLF001


def read_streams_anew() -> None:
    """Let a kept state go on publishing what changes in its tables.

    MiniStack saves how far a table's stream was read, but not the stream, and after a restart waits for as many new
    records as it had read before.
    """
    restore = lambda_svc._restore_esm_positions  # noqa: SLF001 - a mend has to reach inside

    def restore_other_positions(store: Any, positions: Any) -> None:  # noqa: ANN401
        if store is not lambda_svc._dynamodb_stream_positions:  # noqa: SLF001
            restore(store, positions)

    lambda_svc._restore_esm_positions = restore_other_positions  # noqa: SLF001


def hand_over_packed_bodies() -> None:
    """Hand a packed body to its function as base64, as bytes that are no text.

    MiniStack looks at the content type alone and reads gzip that is declared as JSON as if it were UTF-8, which
    destroys it. AWS's documents leave open what it does; that it is this is to be seen there first.
    """
    packed: ContextVar[bool] = ContextVar("packed", default=False)
    invoke, is_text = apigateway._invoke_lambda_proxy, apigateway._v2_request_body_is_text  # noqa: SLF001

    async def invoke_with_encoding(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - MiniStack's own forms
        headers: dict[str, str] = arguments[5]
        packed.set(headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"})
        return await invoke(*arguments, **named)

    apigateway._invoke_lambda_proxy = invoke_with_encoding  # noqa: SLF001
    apigateway._v2_request_body_is_text = lambda kind: not packed.get() and is_text(kind)  # noqa: SLF001


def answer_preflights() -> None:
    """Answer the preflights of an API by its configuration, which CloudFormation writes with capital letters."""
    preflight, add = apigateway._cors_preflight_response, apigateway._cors_response_headers  # noqa: SLF001

    def uncapitalized(configuration: dict[str, Any]) -> dict[str, Any]:
        return {name[:1].lower() + name[1:]: value for name, value in configuration.items()}

    apigateway._cors_preflight_response = lambda cors, origin: preflight(uncapitalized(cors), origin)  # noqa: SLF001
    apigateway._cors_response_headers = lambda cors, origin: add(uncapitalized(cors), origin)  # noqa: SLF001


def sign_tokens() -> None:
    """Let administrators' tokens be good, and no others.

    Without the package `cryptography` MiniStack signs tokens with random bytes and then finds every signature wrong. A
    key that this process makes for itself and never shows serves as well, since the same process signs and checks; so
    a token ends with it. Issuer, audience and times are checked by MiniStack.
    """
    key = secrets.token_bytes(32)

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    def signature(signed: str) -> str:
        return encoded(hmac.digest(key, signed.encode(), "sha256"))

    def sign(claims: dict[str, Any], *_: Any) -> str:  # noqa: ANN401 - the pool and the use, each with a key in AWS
        header = {"alg": "HS256", "kid": cognito._JWKS_KEY["kid"]}  # noqa: SLF001
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{signature(signed)}"

    def is_signed(token: str, _: Any) -> bool:  # noqa: ANN401
        signed, _, given = token.rpartition(".")
        return hmac.compare_digest(given.encode(), signature(signed).encode())

    cognito._signed_jwt = sign  # noqa: SLF001 - a mend has to reach inside
    apigateway._verify_rs256_signature = is_signed  # noqa: SLF001


def tell_of_queues() -> None:
    """Tell each minute how much waits in each queue and since when, as SQS tells CloudWatch; MiniStack's is silent.

    Times are the system's, whose clock can be moved forward: what was sent before that has waited the longer for it.
    """
    moves: list[tuple[float, float]] = []

    def moved(at: float) -> float:
        """Return by how many seconds the system's clock was ahead then; the least there was, if nobody saw."""
        return next((ahead for since, ahead in reversed(moves) if since <= at), moves[0][1])

    def tell() -> None:
        while True:
            ahead, now = _clock_offset(), time.time()
            if not moves or moves[-1][1] != ahead:
                moves.append((now, ahead))
            for (account, region, _), queue in list(sqs._queues._data.items()):  # noqa: SLF001
                waiting = list(queue["messages"])
                visible = sum(message.get("visible_at", 0) <= now for message in waiting)
                ages = [now + ahead - sent - moved(sent) for sent in (one.get("sent_at", now) for one in waiting)]
                for metric, value in {
                    "ApproximateAgeOfOldestMessage": max(ages, default=0.0),
                    "ApproximateNumberOfMessagesVisible": visible,
                    "ApproximateNumberOfMessagesNotVisible": len(waiting) - visible,
                }.items():
                    key = (account, region, ("AWS/SQS", metric, f"QueueName={queue['name']}"))
                    points = cloudwatch._metrics._data.setdefault(key, [])  # noqa: SLF001
                    points.append({"Timestamp": now + ahead, "Value": value, "Unit": "None", "Dimensions": {}})
                    del points[:-KEPT_POINTS]
            time.sleep(60 - time.time() % 60)

    threading.Thread(target=tell, daemon=True).start()


def _clock_offset() -> float:
    try:
        return int(Path(os.environ["MAILTAILOR_CLOCK_FILE"]).read_text()) / 1_000
    except (KeyError, OSError, ValueError):
        return 0.0


def keep_web_pages_out() -> None:
    """Refuse what a web page asks for.

    MiniStack asks for no credentials and tells browsers that every page may call it, so any page that is open on this
    machine could create a function, which is a program, or read the secrets. SDKs send none of what browsers add.
    """
    answer = app.app

    async def answer_others(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own forms
        if scope["type"] == "lifespan" or _may_ask(scope):
            await answer(scope, receive, send)
        elif scope["type"] == "http":
            plain = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 403, "headers": plain})
            await send({"type": "http.response.body", "body": b"The stand-in for AWS answers no web page."})
        else:
            await send({"type": "websocket.close", "code": 1008})

    app.app = answer_others


def _may_ask(scope: Any) -> bool:  # noqa: ANN401 - as above
    headers = {name.lower(): value for name, value in scope["headers"]}
    host = headers.get(b"host", b"").partition(b":")[0].lower()
    if host.endswith(b".execute-api.localhost"):
        # An API is for web pages too, but not what MiniStack answers beneath any name, such as its own reset.
        return not scope["path"].startswith("/_")
    # Another name that leads here is one that somebody pointed at this machine to pass for the page's own server.
    ours = host in {b"127.0.0.1", b"localhost"} or host.endswith(b".localhost")
    return ours and not headers.keys() & {b"origin", b"sec-fetch-site"}


def stop_with_the_parent() -> None:
    """Stop when the process that started us is gone, however it went: its end of our standard input closes then."""

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Mend MiniStack and run it."""
    run_functions_with(os.environ["MAILTAILOR_FUNCTION_PYTHON"])
    share_unpacked_layers(Path(os.environ["MAILTAILOR_UNPACKED"]))
    answer_without_waiting_for_logs()
    send_at_once()
    poll_at_once()
    deliver_delayed_messages_in_time()
    pass_over_what_waits()
    read_streams_apart()
    let_archiving_wait()
    take_numbers_from_parameters()
    admit_labelled_alarms()
    read_streams_anew()
    hand_over_packed_bodies()
    answer_preflights()
    sign_tokens()
    tell_of_queues()
    keep_web_pages_out()
    stop_with_the_parent()
    app.main()


if __name__ == "__main__":
    main()
