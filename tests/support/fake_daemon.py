"""A fail2ban that misbehaves on demand, with the real protocol on a real socket.

Arguments: its folder, the jails. The file `mode` in the folder says how it behaves, looked at for
each request; the file `calls` takes a line for whatever happens to it.
"""

import os
import pickle
import signal
import socket
import sys
import threading
import time

END = b"<F2B_END_COMMAND>"
FOLDER, JAILS = sys.argv[1], sys.argv[2:]
SOCKET = os.path.join(FOLDER, "f2b.sock")
PID_FILE = os.path.join(FOLDER, "f2b.pid")
JAIL_D = os.path.join(FOLDER, "etc/jail.d")


def note(what):
    """One write, so that lines of several threads and processes do not mix."""
    local = [f for f in os.listdir(JAIL_D) if f.startswith("zzz-jailwarden-")]
    disabled = all("\nenabled = false\n" in open(os.path.join(JAIL_D, f)).read() for f in local)
    state = "disabled" if local and disabled else "enabled"
    with open(os.path.join(FOLDER, "calls"), "a") as calls:
        calls.write(f"{state} {what}\n")


def modes():
    with open(os.path.join(FOLDER, "mode")) as mode:
        return mode.read().split()


def live(jail):
    """A jail's two threads, which alone prove that it works."""
    for kind in "fa":
        def name_and_wait(name=f"f2b/{kind}.{jail}"[:15]):
            with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
                comm.write(name)
            threading.Event().wait()
        threading.Thread(target=name_and_wait, daemon=True).start()


def leave():
    os.unlink(SOCKET)
    os.unlink(PID_FILE)
    os._exit(0)


def answer(words):
    """What a sound daemon replies, as (code, value)."""
    if words == ["ping"]:
        return 0, "pong"
    if words == ["version"]:
        return 0, "1.1.0"
    if words == ["status"]:
        return 0, [("Number of jail", len(JAILS)), ("Jail list", ", ".join(JAILS))]
    if words == ["stop"]:
        if "refuse-stop" in modes():
            return 1, PermissionError("not today")
        return 0, None
    return 1, Exception("Invalid command")


def serve(connection):
    read = b""
    while not read.endswith(END):
        part = connection.recv(65536)
        if not part:
            return False
        read += part
    if read.startswith(b"<F2B_CLOSE_COMMAND>"):
        return False
    words = pickle.loads(read[: -len(END)])
    note(f"request {' '.join(words)}")
    code, value = answer(words)
    reply = pickle.dumps((code, value), pickle.HIGHEST_PROTOCOL)
    mode = modes()
    if "garbage" in mode:
        reply = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    elif "wrong" in mode:
        reply = pickle.dumps((0, {"no": ["such", b"thing", None]}), 4)
    elif "shutdown" in mode:
        reply = pickle.dumps(["SHUTDOWN"], 4)
    elif "half" in mode:
        connection.sendall(reply[: len(reply) // 2])
        return False
    elif "silent" in mode:
        threading.Event().wait()
    elif "endless" in mode:
        while True:
            connection.sendall(b"x" * 65536)
    connection.sendall(reply + END)
    if words == ["stop"] and code == 0:
        connection.close()
        leave()
    return True


def client(connection):
    try:
        while serve(connection):
            pass
    except OSError:
        pass
    connection.close()


signal.signal(signal.SIGTERM, lambda *_: leave())
with open("/proc/self/comm", "w") as comm:
    comm.write("fail2ban-server")
with open(PID_FILE, "w") as pid_file:
    pid_file.write(str(os.getpid()))
if "no-threads" not in modes() or os.path.exists(os.path.join(JAIL_D, "zzz-jailwarden-web.local")):
    for one in JAILS:
        live(one)
listener = socket.socket(socket.AF_UNIX)
listener.bind(SOCKET)
listener.listen(1)
note("up")


def accept():
    while True:
        connection, _ = listener.accept()
        note("accept")
        threading.Thread(target=client, args=(connection,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
while True:
    signal.pause()
