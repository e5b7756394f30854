"""A proxy in front of moto: delayed responses, a bucket for modifying calls, random refusals, a list of allowed actions, and a log of all requests with their times."""

import asyncio
import random
import threading
import time
import urllib.parse

THROTTLED = (
    b"<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"><Error><Type>Sender</Type>"
    b"<Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)
DENIED = THROTTLED.replace(b"Throttling", b"AccessDenied").replace(b"Rate exceeded", b"not authorized")
FAILED = THROTTLED.replace(b"Throttling", b"InternalFailure").replace(b"Rate exceeded", b"no").replace(b"Sender", b"Receiver")


class Proxy:
    """Serves a loopback port in a separate thread until the process ends."""

    def __init__(self, upstream: str):
        where = urllib.parse.urlsplit(upstream)
        self.upstream = (where.hostname, where.port)
        self.reset()
        self.idle: list = []
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    def reset(self, delay: float = 0.0, bucket: tuple | None = None, bad: tuple | None = None, seed: int = 1, allowed: tuple = ()) -> None:
        """Sets the delay of responses in seconds, the bucket (burst, per second) and the refusals (fraction of throttled calls, fraction of failing writes, half of
        which have an effect). Refuses all actions except the allowed ones; without a list, all actions are allowed."""
        self.delay, self.bucket, self.bad, self.allowed = delay, bucket, bad, allowed
        self.tokens, self.filled = (bucket[0] if bucket else 0.0), time.perf_counter()
        self.random = random.Random(seed)
        self.log: list[tuple[str, float, float, int]] = []

    async def serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self.client, "127.0.0.1", 0, backlog=1024)
        self.url = "http://%s:%d" % server.sockets[0].getsockname()[:2]
        ready.set()
        await server.serve_forever()

    async def client(self, reader, writer) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length:")), 0)
                body = await reader.readexactly(length)
                if b"expect: 100-continue" in head.lower():
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                writer.write(await self.answer(head, body))
                await writer.drain()
                if b"connection: close" in head.lower():
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head: bytes, body: bytes) -> bytes:
        came = time.perf_counter()
        action = next((p[7:].decode() for p in body.split(b"&") if p.startswith(b"Action=")), "?")
        modifies = action.startswith(("Modify", "AddTags", "RemoveTags"))
        refusal, lost = ((403, DENIED), False) if self.allowed and action not in self.allowed else self.refusal(modifies)
        done = None if refusal and not lost else asyncio.ensure_future(self.forward(head, body))
        await asyncio.sleep(self.delay)
        response = await done if done else b""
        if refusal:
            status, text = refusal
            response = b"HTTP/1.1 %d No\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text
        status = int(response.split(b" ", 2)[1])
        self.log.append((action, came, time.perf_counter(), status))
        return response

    def refusal(self, modifies: bool):
        """Returns the response that replaces the real one, and whether the call is executed anyway."""
        if self.bad:
            throttled, failing = self.bad
            if self.random.random() < throttled:
                return (400, THROTTLED), False
            if modifies and self.random.random() < failing:
                return (500, FAILED), self.random.random() < 0.5
        if self.bucket and modifies:
            now = time.perf_counter()
            burst, rate = self.bucket
            self.tokens, self.filled = min(burst, self.tokens + (now - self.filled) * rate), now
            if self.tokens < 1:
                return (400, THROTTLED), False
            self.tokens -= 1
        return None, False

    async def forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(*self.upstream)
        lines = [l for l in head.split(b"\r\n") if l and not l.lower().startswith((b"connection:", b"expect:"))]
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        response = await reader.read()
        writer.close()
        top, text = response.split(b"\r\n\r\n", 1)
        keep = [l for l in top.split(b"\r\n") if not l.lower().startswith((b"connection:", b"transfer-encoding:", b"content-length:"))]
        return b"\r\n".join([*keep, b"Content-Length: %d" % len(text), b"", b""]) + text
