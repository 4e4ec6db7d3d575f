"""A WebSocket client: has texts and bytes of many sizes echoed. Usage: ask.py URL"""
import asyncio
import sys

import websockets


async def main(url):
    """Says what came back, without what changes from run to run."""
    async with websockets.connect(url, ping_interval=None, max_size=None) as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
            for message in ("x" * size, b"\x00\xff" * (size // 2)):
                await socket.send(message)
                same = await socket.recv() == message
                print(type(message).__name__, len(message), "the same" if same else "changed")
        pong = await socket.ping(b"data")
        await pong
        await socket.close(4000, "enough")
        print("closed", socket.close_code, socket.close_reason)


asyncio.run(main(sys.argv[1]))
