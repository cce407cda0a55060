"""A fail2ban that misbehaves on demand, with the real protocol on a real socket.

Arguments: its folder, the jails. The file `mode` in the folder says how it behaves, looked at for
each request; the file `calls` takes a line for whatever happens to it. Of modes behind the word `each`
one is taken after another, a request each; one that begins with `status:` is for that request alone, and
with `jail:` for the status of a jail.
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
# Each character that a name may hold, and some that none can.
ODD = ["".join(map(chr, range(1, 44))), "".join(map(chr, range(45, 127))), "\u202e\u0007\x1b[31m", "é" * 99,
       "../../etc/passwd", "-x", "\udcff", "", " ", "\n", "a\x00b", "x" * 100_000]


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


turn = 0


def modes_for(words):
    """How this request is answered."""
    global turn
    now = modes()
    if now[:1] == ["each"]:
        one = now[1 + turn % (len(now) - 1)]
        verb, _, rest = one.rpartition(":")
        asked = "jail" if words[:1] == ["status"] and len(words) > 1 else words[0]
        if verb and verb != asked:
            return []
        turn += 1
        note(f"mode {one}")
        now = [rest]
    return now


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


def listed(names, count=None):
    return [("Number of jail", len(names) if count is None else count), ("Jail list", ", ".join(names))]


def answer(words):
    """What a sound daemon replies, as (code, value)."""
    if words == ["ping"]:
        return 0, "pong"
    if words == ["version"]:
        return 0, "1.1.0"
    if words == ["status"]:
        return 0, listed(JAILS)
    if words == ["stop"]:
        if "refuse-stop" in modes():
            return 1, PermissionError("not today")
        return 0, None
    return 1, Exception("Invalid command")


def pickled(value):
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def deep(levels):
    return b"\x80\x04" + b"]" * levels + b"a" * (levels - 1) + b"."


def doubling(levels):
    """Each level is a pair of the one before: as many leaves as 2 to the power of the levels."""
    pairs = (bytes([ord("q"), n, ord("h"), n, 0x86]) for n in range(levels))
    return b"\x80\x04N" + b"".join(pairs) + b"."


def long_twice():
    """One long text, a thousand times."""
    text = b"x" * 1_000_000
    return b"\x80\x04X" + len(text).to_bytes(4, "little") + text + b"q\x00](" + b"h\x00" * 1000 + b"e."


# Whole replies that are not what was asked for, or more than anybody asks for.
REPLIES = {
    "garbage": lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "noise": lambda: os.urandom(5000),
    "empty": lambda: b"",
    "wrong": lambda: pickled((0, {"no": ["such", b"thing", None]})),
    "swapped-ping": lambda: pickled(answer(["status"])),
    "swapped-status": lambda: pickled(answer(["ping"])),
    "shutdown": lambda: pickled(["SHUTDOWN"]),
    "deep": lambda: deep(40_000),
    "doubling": lambda: doubling(60),
    "long": long_twice,
    "lists": lambda: b"\x80\x04(" + b"]" * 2_000_000 + b"t.",
    "nulls": lambda: pickled((0, "\0" * 1_500_000)),
    "refusal": lambda: pickled((1, ValueError("\x1b[31m" + "why " * 400_000))),
    "crowd": lambda: pickled((0, listed(JAILS + [f"jail-{n}" for n in range(5000)]))),
    "odd": lambda: pickled((0, listed(JAILS + ODD))),
    "myriads": lambda: pickled((0, listed(JAILS + [f"{n:x}" for n in range(200_000)]))),
    "fewer": lambda: pickled((0, listed(JAILS, 10 ** 30))),
    "files": lambda: pickled((0, [("Filter", [("File list", [f"/var/log/{n:050}" for n in range(20_000)])])])),
    "below": lambda: pickled((0, listed(JAILS, -1))),
}


def misbehave(connection, mode, reply):
    """Whether a reply, and which, is to be sent whole."""
    kind, _, count = mode.partition("=")
    if kind == "half":
        connection.sendall(reply[: len(reply) // 2])
        return None
    if kind == "none":
        return None
    if kind == "silent":
        threading.Event().wait()
    elif kind == "hang":
        connection.sendall((reply + END)[: int(count)])
        threading.Event().wait()
    elif kind == "drip":
        for byte in reply + END:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
        return None
    elif kind == "endless":
        while True:
            connection.sendall(b"x" * 65536)
    elif kind in REPLIES:
        return REPLIES[kind]()
    return reply


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
    reply = pickled((code, value))
    for mode in modes_for(words):
        reply = misbehave(connection, mode, reply)
        if reply is None:
            return False
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
if "stranger" not in modes():
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
