"""A WebSocket server that echoes, at 8080."""
import asyncio

import websockets


async def echo(socket):
    """Sends back what comes."""
    async for message in socket:
        await socket.send(message)


async def main():
    """Serves until it is killed."""
    async with websockets.serve(echo, "", 8080, ping_interval=None, max_size=None):
        await asyncio.Future()


asyncio.run(main())
