"""A real RTSP server on loopback for the tests: H.264 of one colour. Run by the system's Python, which has gi.

Usage: rtsp_server.py PORT COLOUR(0xAARRGGBB) [USER:PASSWORD]; prints "ready" when it listens.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( videotestsrc is-live=true pattern=solid-color foreground-color={colour}"
    " ! video/x-raw,width=320,height=240,framerate=15/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 key-int-max=5"
    " ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def protect(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, login: str) -> None:
    """Ask for a user and a password."""
    user, password = login.split(":")
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for what in ("access", "construct"):
        permissions.add_permission_for_role("user", f"media.factory.{what}", True)
    factory.set_permissions(permissions)


def main(port: str, colour: str, login: str = "") -> None:
    """Serve rtsp://127.0.0.1:PORT/cam until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(colour=colour))
    factory.set_shared(True)
    server.get_mount_points().add_factory("/cam", factory)
    if login:
        protect(server, factory, login)
    assert server.attach(None), "the port is taken"
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
