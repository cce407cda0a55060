"""What keeps a rehearsal from acting: it has fewer rights than whoever started it, and may only read."""
import contextlib
import os
import resource
import struct


def cage(parent, memory, seconds, niceness):
    """Die with the parent, wait behind others, fill neither disk nor memory, and have no right but to read."""
    import ctypes
    libc = ctypes.CDLL(None)
    libc.prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != parent:
        os._exit(1)
    libc.prctl(15, b"jail-rehearsal", 0, 0, 0)  # PR_SET_NAME
    os.nice(niceness)  # the IO priority follows it (ioprio_set(2))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as mine:
        mine.write("1000")  # where memory is short, this goes first
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(kind, (most, most))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    # Each as far as this kernel has it; none takes a privilege.
    drop_capabilities(libc, ctypes)
    forbid_changes(libc)
    forbid_sockets(libc, ctypes)


def drop_capabilities(libc, ctypes):
    """All but CAP_DAC_READ_SEARCH: logs stand in folders of others (capset(2))."""
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3; this process
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held) == 0:
        effective, permitted = (word & 1 << 2 for word in struct.unpack("6I", held.raw)[:2])
        libc.capset(header, struct.pack("6I", effective, permitted, 0, 0, 0, 0))


def forbid_changes(libc):
    """Of files and folders, and to run a program: Landlock (linux/landlock.h; from Linux 5.13 on)."""
    create_ruleset, restrict_self = 444, 446  # on every architecture
    version = libc.syscall(create_ruleset, None, 0, 1)
    if version < 1:
        return
    actions = 0x1FFF & ~0xC  # all of the first version but READ_FILE and READ_DIR
    if version >= 3:
        actions |= 1 << 14  # TRUNCATE
    rules = libc.syscall(create_ruleset, struct.pack("Q", actions), 8, 0)
    if rules >= 0:
        libc.syscall(restrict_self, rules, 0)
        os.close(rules)


def forbid_sockets(libc, ctypes):
    """socket(2) and io_uring_setup(2) fail with EPERM (seccomp(2), linux/filter.h)."""
    known = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # AUDIT_ARCH_*, socket
    architecture, socket = known.get(os.uname().machine, (0, 0))
    load, jump_if, leave = 0x20, 0x15, 0x06
    program = (
        (load, 0, 0, 4),
        (jump_if, 0, 3, architecture),
        (load, 0, 0, 0),
        (jump_if, 2, 0, socket),
        (jump_if, 1, 0, 425),
        (leave, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
        (leave, 0, 0, 0x00050001),  # SECCOMP_RET_ERRNO
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    libc.prctl(22, 2, struct.pack("HP", len(program), ctypes.addressof(code)), 0, 0)  # PR_SET_SECCOMP


class Fence:
    """Stops whatever acts on anything but memory: a config's times and factors are code (`eval`)."""

    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    READS = {"os.listdir", "os.scandir", "os.walk", "os.getxattr", "os.listxattr"}
    CLOSED = ("os.", "socket.", "subprocess.", "sqlite3.", "shutil.", "pty.", "ctypes.dlopen")

    touched = False

    def __call__(self, event, arguments):
        if event == "open":
            acts = isinstance(arguments[2], int) and arguments[2] & self.WRITES
        else:
            acts = event.startswith(self.CLOSED) and event not in self.READS
        if acts:
            self.touched = True
            raise PermissionError(f"a rehearsal does no {event}")


